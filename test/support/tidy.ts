/**
 * The laws that keep the code's rooms apart, as pure checks: sources in, problems out. Sources are
 * parsed, so that a comment or a string that merely mentions `setTimeout` breaks no law.
 */
import { posix } from 'node:path';
import { parseSync } from '@swc/core';

/** A source file; the path is relative to the top of the project, with `/`. */
export interface SourceFile {
  readonly path: string;
  readonly text: string;
}

/** A room may import from itself and from rooms of a lower rank. */
export const ROOM_RANKS: ReadonlyMap<string, number> = new Map([
  ['base', 0],
  ['sys', 1],
  ['format', 1],
  ['device', 1],
  ['journal', 2],
  ['nbd', 2],
  ['path', 2],
  ['imageset', 3],
  ['link', 4],
  ['migration', 5],
  ['node', 6],
  ['control', 7],
  ['daemon', 8],
  ['cli', 9],
  ['commands', 10],
]);

/** The one public barrel; it stands above the rooms, and none of them may import it. */
const PUBLIC_INDEX = 'src/index.ts';

const LINE_LENGTH_MAX = 100;

/** Folders of test/ that mirror no room. */
const TEST_FOLDERS = new Set(['support', 'sim', 'story', 'bench', 'shell', 'torture', 'bin']);

/** What only src/sys may import, so that a test can stand in for the machine. */
const SYS_MODULES = new Set(['fs', 'net', 'timers', 'fs-extra', 'fs-native-extensions']);

/** Globals that only src/sys may use: time does not pass by itself in a simulation. */
const SYS_GLOBALS = new Set(['setTimeout', 'setInterval', 'setImmediate']);

/** Members that only src/sys may use: clocks and randomness are given, never taken. */
const SYS_MEMBERS = new Set(['Date.now', 'Math.random', 'performance.now', 'process.hrtime']);

/** One node of the syntax tree; what else it has depends on its type. */
type Node = { readonly type: string } & Readonly<Record<string, unknown>>;

interface Import {
  readonly specifier: string;
  /** Erased by the compiler, so it cannot be part of a cycle at run time. */
  readonly typeOnly: boolean;
}

/** A parsed source with what the laws ask of it. */
interface Module extends SourceFile {
  readonly imports: readonly Import[];
  readonly body: readonly Node[];
}

/** All that src/ and commands/ break, one line a problem, each starting with the file's path. */
export function problemsOfSources(files: readonly SourceFile[]): string[] {
  const modules = files.map((file) => parse(file));
  return [
    ...modules.flatMap((module) => [
      ...roomProblems(module),
      ...extensionProblems(module),
      ...barrelProblems(module),
      ...machineProblems(module),
    ]),
    ...cycleProblems(modules),
  ];
}

/** What the text of any file of the project breaks, tests included. */
export function problemsOfText({ path, text }: SourceFile): string[] {
  const problems: string[] = [];
  const lines = text.split('\n');
  for (const [index, line] of lines.entries()) {
    const { length } = Array.from(line);
    if (length > LINE_LENGTH_MAX) {
      problems.push(`${path}:${index + 1}: a line of ${length} characters`);
    }
  }
  const opening = lines.slice(0, 3).join('\n');
  const directive = /^\s*(\/\/|\/\*+)\s*(@ts-|oxlint-|oxfmt-|eslint-|prettier-)/;
  const speaks = lines
    .slice(0, 3)
    .some((line) => /^(\/\/|\/\*\*|\s\*)\s*\w.* \w/.test(line) && !directive.test(line));
  if (!speaks || !/^(\/\/|\/\*\*)/m.test(opening)) {
    problems.push(`${path}: does not start with a comment that says what it is for`);
  }
  return problems;
}

/** Folders of test/ that mirror no folder of src/ (or commands/) and are none of the known ones. */
export function problemsOfTestFolders(
  testFolders: readonly string[],
  sourceFolders: readonly string[],
): string[] {
  return testFolders
    .filter((folder) => !TEST_FOLDERS.has(folder) && !sourceFolders.includes(folder))
    .map((folder) => `test/${folder}: mirrors no folder of src/`);
}

/** The room that a path belongs to, or null when it is in none. */
function roomOf(path: string): string | null {
  const [top, room, rest] = path.split('/');
  if (top === 'commands') return top;
  if (top !== 'src' || room === undefined || rest === undefined) return null;
  return ROOM_RANKS.has(room) ? room : null;
}

function roomProblems({ path, imports }: Module): string[] {
  if (path === PUBLIC_INDEX) return [];
  const room = roomOf(path);
  if (room === null) return [`${path}: is in no known room`];
  const rank = ROOM_RANKS.get(room) ?? 0;
  const problems: string[] = [];
  for (const { specifier } of imports) {
    if (!specifier.startsWith('.')) continue;
    const target = resolve(path, specifier);
    const targetRoom = roomOf(target);
    if (targetRoom === null) {
      problems.push(`${path}: imports ${target}, which is in no room`);
    } else if (targetRoom !== room && (ROOM_RANKS.get(targetRoom) ?? 0) >= rank) {
      problems.push(`${path}: ${room} must not import from ${targetRoom} (${target})`);
    }
  }
  return problems;
}

function extensionProblems({ path, imports }: Module): string[] {
  return imports
    .filter(({ specifier }) => specifier.startsWith('.') && !specifier.endsWith('.ts'))
    .map(({ specifier }) => `${path}: import '${specifier}' does not name its .ts file`);
}

/** A file of nothing but imports and re-exports hides which room a thing comes from. */
function barrelProblems({ path, body }: Module): string[] {
  if (path === PUBLIC_INDEX) return [];
  const reExports = new Set(['ExportAllDeclaration', 'ExportNamedDeclaration']);
  const exporting = body.some(({ type }) => reExports.has(type));
  const onlyPasses = body.every(({ type }) => type === 'ImportDeclaration' || reExports.has(type));
  return exporting && onlyPasses ? [`${path}: only passes on what other files export`] : [];
}

/** Direct use of the console, and of files, network, time or chance outside src/sys. */
function machineProblems({ path, imports, body }: Module): string[] {
  const found = new Set<string>();
  const inSys = roomOf(path) === 'sys';
  for (const { specifier } of imports) {
    const name = specifier.replace(/^node:/, '').split('/')[0] ?? '';
    if (!inSys && SYS_MODULES.has(name)) found.add(specifier);
  }
  for (const use of usesIn(body)) {
    const name = use.replace(/^(globalThis|global)\./, '');
    if (/^console(\.|$)/.test(name)) found.add('console');
    if (inSys) continue;
    if (SYS_GLOBALS.has(name) || SYS_MEMBERS.has(name) || name === 'new Date()') found.add(name);
  }
  return Array.from(found, (name) => `${path}: uses ${name}`);
}

/** Each cycle of imports between files that exist at run time, named once. */
function cycleProblems(modules: readonly Module[]): string[] {
  const edges = new Map(
    modules.map(({ path, imports }) => [
      path,
      imports
        .filter(({ specifier, typeOnly }) => specifier.startsWith('.') && !typeOnly)
        .map(({ specifier }) => resolve(path, specifier)),
    ]),
  );
  const problems: string[] = [];
  const finished = new Set<string>();
  const visit = (path: string, trail: readonly string[]): void => {
    const start = trail.indexOf(path);
    if (start >= 0) {
      const cycle = [...trail.slice(start), path];
      problems.push(`${path}: imports itself: ${cycle.join(' -> ')}`);
      return;
    }
    if (finished.has(path)) return;
    for (const next of edges.get(path) ?? []) visit(next, [...trail, path]);
    finished.add(path);
  };
  for (const { path } of modules) visit(path, []);
  return problems;
}

function resolve(from: string, specifier: string): string {
  return posix.join(posix.dirname(from), specifier);
}

function parse(file: SourceFile): Module {
  const { body } = parseSync(file.text, { syntax: 'typescript', target: 'es2022' });
  const nodes: readonly unknown[] = body;
  const statements = nodes.filter((node) => isNode(node));
  return { ...file, body: statements, imports: Array.from(importsIn(statements)) };
}

/** Every import of whatever form: static, re-export, dynamic, in a type, or by require. */
function* importsIn(value: unknown): Generator<Import> {
  for (const node of nodesIn(value)) {
    const specifier = specifierOf(node);
    if (specifier === null) continue;
    const typeOnly = node['typeOnly'] === true || node.type === 'TsImportType';
    yield { specifier, typeOnly };
  }
}

function specifierOf(node: Node): string | null {
  switch (node.type) {
    case 'ImportDeclaration':
    case 'ExportAllDeclaration':
    case 'ExportNamedDeclaration':
      return stringOf(node['source']);
    case 'TsImportType':
      return stringOf(node['argument']);
    case 'TsExternalModuleReference':
      return stringOf(node['expression']);
    case 'CallExpression': {
      const callee = node['callee'];
      const imports = isNode(callee) && (callee.type === 'Import' || nameOf(callee) === 'require');
      const [first] = Array.isArray(node['arguments']) ? (node['arguments'] as unknown[]) : [];
      return imports && isRecord(first) ? stringOf(first['expression']) : null;
    }
    default:
      return null;
  }
}

/** Names and members as they are used, such as `setTimeout`, `Date.now` or `new Date()`. */
function* usesIn(value: unknown): Generator<string> {
  if (Array.isArray(value)) {
    for (const item of value as unknown[]) yield* usesIn(item);
    return;
  }
  if (!isRecord(value)) return;
  if (isNode(value)) {
    const name = nameOf(value);
    if (name !== null) yield name;
    if (value.type === 'NewExpression' && nameOf(value['callee']) === 'Date') {
      const words = value['arguments'];
      if (!Array.isArray(words) || words.length === 0) yield 'new Date()';
    }
    if (value.type === 'VariableDeclarator') yield* takenApart(value);
  }
  for (const [field, child] of Object.entries(value)) {
    // What a thing calls its own members, or where it imports a name from, is not a use of it.
    const names = field === 'key' || field === 'property' || field === 'imported';
    if (names && isNode(child) && child.type === 'Identifier') continue;
    yield* usesIn(child);
  }
}

/** The members that `const { now } = Date` takes out of an object. */
function* takenApart(declarator: Node): Generator<string> {
  const object = nameOf(declarator['init']);
  const pattern = declarator['id'];
  if (object === null || !isNode(pattern) || pattern.type !== 'ObjectPattern') return;
  for (const property of (pattern['properties'] as unknown[]).filter((item) => isNode(item))) {
    const key = nameOf(property['key']);
    if (key !== null) yield `${object}.${key}`;
  }
}

/** The dotted name of an expression, or null when it has none. */
function nameOf(value: unknown): string | null {
  if (!isNode(value)) return null;
  if (value.type === 'Identifier') return String(value['value']);
  if (value.type === 'ParenthesisExpression') return nameOf(value['expression']);
  if (value.type !== 'MemberExpression') return null;
  const object = nameOf(value['object']);
  const property = value['property'];
  const computed = isNode(property) && property.type === 'Computed';
  const name = computed ? stringOf(property['expression']) : nameOf(property);
  return object === null || name === null ? null : `${object}.${name}`;
}

function stringOf(value: unknown): string | null {
  return isNode(value) && value.type === 'StringLiteral' ? String(value['value']) : null;
}

function* nodesIn(value: unknown): Generator<Node> {
  if (Array.isArray(value)) {
    for (const item of value as unknown[]) yield* nodesIn(item);
  } else if (isRecord(value)) {
    if (isNode(value)) yield value;
    for (const child of Object.values(value)) yield* nodesIn(child);
  }
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isNode(value: unknown): value is Node {
  return isRecord(value) && typeof value['type'] === 'string';
}
