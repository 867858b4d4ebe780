/**
 * Makes a clone ready to run: `npm test` and `npm run demo` each work alone on a machine that has
 * only node and npm, because they come through here first. It uses nothing but node itself, since
 * it runs before anything is installed, and it speaks on stderr, so that stdout stays the result's.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  existsSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

/** What the build reads; a change of any of these makes `dist` stale. */
const BUILD_INPUTS = ['tsconfig.json', 'package-lock.json', 'src', 'commands'];

/** Holds the digest of the inputs that `dist` was built from; it lives and dies with `dist`. */
const STAMP = join('dist', '.sources');

/**
 * The reason why this node is too old, or null when it will do.
 *
 * @param {string} version of node, such as `20.19.0`
 * @param {string} range `engines.node` of package.json, of the form `>=major.minor.patch`
 * @returns {string | null}
 */
export function nodeProblem(version, range) {
  const wanted = range.replace('>=', '').split('.').map(Number);
  const found = version.replace(/-.*$/, '').split('.').map(Number);
  for (const [index, least] of wanted.entries()) {
    const part = found[index] ?? 0;
    if (part > least) return null;
    if (part < least) return `node ${version} is too old: rcopy needs ${range}`;
  }
  return null;
}

/**
 * The reason why node_modules does not hold what the lock file names, or null when it does. npm
 * keeps its own record of what it installed and writes it last, so an interrupted install is seen.
 *
 * @param {string} root the folder of package.json
 * @returns {string | null}
 */
export function installProblem(root) {
  const record = join(root, 'node_modules', '.package-lock.json');
  if (!existsSync(record)) return 'dependencies are not installed';
  const installed = readPackages(record);
  const locked = readPackages(join(root, 'package-lock.json'));
  for (const [path, entry] of Object.entries(locked)) {
    if (path === '') continue;
    const found = installed[path];
    // Packages for other platforms are optional, and rightly absent.
    if (found === undefined && entry.optional === true) continue;
    if (found?.version !== entry.version || found?.integrity !== entry.integrity) {
      return `${path} is not as the lock file says`;
    }
  }
  const extra = Object.keys(installed).find((path) => !(path in locked));
  return extra === undefined ? null : `${extra} is not in the lock file`;
}

/**
 * The reason why `dist` has to be built, or null when it is up to date.
 *
 * @param {string} root the folder of package.json
 * @returns {string | null}
 */
export function buildProblem(root) {
  const stamp = join(root, STAMP);
  if (!existsSync(stamp)) return 'dist is not built';
  const same = readFileSync(stamp, 'utf8') === digestOfInputs(root);
  return same ? null : 'dist is older than the sources';
}

/**
 * SHA-256 over the names and contents of all that the build reads: unlike times of modification,
 * it also sees a deleted file, and does not rebuild after a checkout there and back.
 *
 * @param {string} root the folder of package.json
 * @returns {string} in hexadecimal
 */
export function digestOfInputs(root) {
  const hash = createHash('sha256');
  for (const path of BUILD_INPUTS.flatMap((input) => listFiles(join(root, input)))) {
    const content = readFileSync(path);
    hash.update(`${relative(root, path)}\0${content.length}\0`).update(content);
  }
  return hash.digest('hex');
}

/**
 * @param {string} path of a file or a folder, or of nothing
 * @returns {string[]} all files under it, in a stable order
 */
function listFiles(path) {
  if (!existsSync(path)) return [];
  if (/\.(ts|json)$/.test(path)) return [path];
  return readdirSync(path, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
}

/**
 * @param {string} path of a lock file
 * @returns {Record<string, { version?: string, integrity?: string, optional?: boolean }>}
 */
function readPackages(path) {
  return JSON.parse(readFileSync(path, 'utf8')).packages;
}

/**
 * Installs exactly what the lock file names.
 *
 * @param {string} root the folder of package.json
 */
function install(root) {
  // The npm that started us is the one to use; without it, whatever npm the machine has.
  const npm = process.env['npm_execpath'];
  const words = ['ci', '--include=dev', '--no-audit', '--no-fund', '--loglevel=error'];
  if (npm === undefined) run(root, 'npm', words, 'npm ci');
  else run(root, process.execPath, [npm, ...words], 'npm ci');
}

/**
 * Compiles into a new folder, which takes the place of `dist` only when all went well: a failed
 * build leaves the old one working, and no file of a deleted source survives.
 *
 * @param {string} root the folder of package.json
 */
function build(root) {
  const fresh = `.dist-${process.pid}`;
  const old = `.dist-${process.pid}-old`;
  const digest = digestOfInputs(root);
  try {
    const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc');
    run(root, process.execPath, [tsc, '--outDir', fresh], 'tsc');
    writeFileSync(join(root, fresh, '.sources'), digest);
    if (existsSync(join(root, 'dist'))) renameSync(join(root, 'dist'), join(root, old));
    renameSync(join(root, fresh), join(root, 'dist'));
  } catch (error) {
    // Somebody else may have built the same at the same time, and been first to put it in place.
    if (buildProblem(root) !== null) throw error;
  } finally {
    rmSync(join(root, fresh), { recursive: true, force: true });
    rmSync(join(root, old), { recursive: true, force: true });
  }
}

/**
 * Runs one tool with its output on stderr.
 *
 * @param {string} root the folder to run in
 * @param {string} program
 * @param {string[]} words
 * @param {string} label what a failure calls it
 */
function run(root, program, words, label) {
  const { status, error } = spawnSync(program, words, {
    cwd: root,
    stdio: ['ignore', process.stderr.fd, process.stderr.fd],
  });
  if (status !== 0) throw new Error(`${label} failed${error ? `: ${error.message}` : ''}`);
}

/** @param {string} line */
function say(line) {
  process.stderr.write(`rcopy: ${line}\n`);
}

/**
 * Installs and builds what is missing; quick and silent when nothing is.
 *
 * @param {string} root the folder of package.json
 * @param {boolean} rebuild builds even when `dist` is up to date
 */
function bootstrap(root, rebuild) {
  const { engines } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const tooOld = nodeProblem(process.versions.node, engines.node);
  if (tooOld !== null) throw new Error(tooOld);

  const notInstalled = installProblem(root);
  if (notInstalled !== null) {
    say(`${notInstalled}: running npm ci (once, about half a minute)`);
    install(root);
  }
  const notBuilt = rebuild ? 'asked to rebuild' : buildProblem(root);
  if (notBuilt !== null) {
    say(`${notBuilt}: building`);
    build(root);
  }
}

const self = fileURLToPath(import.meta.url);
// The folder may have been reached through a symbolic link, which node resolves for modules only.
if (process.argv[1] !== undefined && realpathSync(process.argv[1]) === self) {
  try {
    bootstrap(dirname(dirname(self)), process.argv.includes('--rebuild'));
  } catch (error) {
    say(error instanceof Error ? error.message : String(error));
    process.exitCode = 1;
  }
}
