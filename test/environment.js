/**
 * Where tests run: jest's own environment for node, but in a context whose global object is an
 * ordinary one. Jest puts a proxy in its place, so that each use of `Math`, `Buffer` or `Error`
 * goes through several calls; code that does much then runs several times slower than it is.
 */
import vm from 'node:vm';
import { TestEnvironment } from 'jest-environment-node';

// Jest says `test` here. Programs that tests start inherit it, and oclif then takes twice as long
// to start, since it looks for a TypeScript compiler; a user's programs do not.
delete process.env['NODE_ENV'];

export default class OrdinaryGlobals extends TestEnvironment {
  /** @param {ConstructorParameters<typeof TestEnvironment>} words what jest gives */
  constructor(...words) {
    const { createContext } = vm;
    // Jest's class makes its context itself; there is no other place to say which kind.
    vm.createContext = () => createContext(vm.constants.DONT_CONTEXTIFY);
    try {
      super(...words);
    } finally {
      vm.createContext = createContext;
    }
  }
}
