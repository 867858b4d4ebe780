/**
 * Where tests run: jest's own environment for node, but in a context whose global object is an
 * ordinary one. Jest puts a proxy in its place, so that each use of `Math`, `Buffer` or `Error`
 * goes through several calls; code that does much then runs several times slower than it is.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import vm from 'node:vm';
import { TestEnvironment } from 'jest-environment-node';

// Jest says `test` here. Programs that tests start inherit it, and oclif then takes twice as long
// to start, since it looks for a TypeScript compiler; a user's programs do not.
delete process.env['NODE_ENV'];

// Jest makes one storage for each test file and never ends it: in node 20 every promise that the
// same worker makes later pays for each of them, and its last files run at a third of the speed.
/** @type {Set<AsyncLocalStorage<unknown>>} */
const storagesInUse = new Set();
// oxlint-disable-next-line typescript/unbound-method -- it is called with the storage below
const { run } = AsyncLocalStorage.prototype;
/** @type {(this: AsyncLocalStorage<unknown>, ...words: Parameters<typeof run>) => unknown} */
AsyncLocalStorage.prototype.run = function notedRun(...words) {
  storagesInUse.add(this);
  return run.apply(this, words);
};

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

  /** @override */
  async teardown() {
    await super.teardown();
    for (const storage of storagesInUse) storage.disable();
    storagesInUse.clear();
  }
}
