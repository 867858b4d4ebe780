/** What hosts may do with a set that is served, as its role changes under them. */
import { afterEach, beforeEach, expect } from '@jest/globals';
import { rcopyJson } from '../commands/harness.ts';
import { begin, run, succeed, testWith } from '../support/programs.ts';
import type { Running } from '../support/processes.ts';
import { ServedPair, expectEqual, qemuIo } from '../support/served-pair.ts';

const TEST_MS = 60_000;

/** The Python that Debian's libnbd is for; `nbdsh` comes with it. */
const PYTHON = '/usr/bin/python3';

let pair: ServedPair;
let programs: Running[] = [];

beforeEach(async () => {
  pair = await ServedPair.start();
}, TEST_MS);

afterEach(async () => {
  for (const program of programs) program.kill('SIGKILL');
  programs = [];
  await pair.end();
});

/** Stays connected; at each line of its standard input it tells what each command comes to. */
const WATCHER = `
import nbd, sys
h = nbd.NBD()
h.connect_uri(sys.argv[1])
h.set_strict_mode(0)
def word(action):
    try: action(); return "ok"
    except nbd.Error as e: return e.errno
print("connected", flush=True)
for line in sys.stdin:
    # No client flushes what it was told cannot be flushed.
    actions = [lambda: h.pread(512, 0), lambda: h.pwrite(b"w" * 512, 0),
               h.flush if h.can_flush() else lambda: None,
               lambda: h.zero(512, 512), lambda: h.trim(512, 1024)]
    print(*[word(a) for a in actions], flush=True)
`;

class Watcher {
  private readonly program: Running;

  private constructor(program: Running) {
    this.program = program;
  }

  static async at(uri: string): Promise<Watcher> {
    const options = { keepsInput: true, timeoutMs: TEST_MS };
    const program = begin(PYTHON, ['-c', WATCHER, uri], options);
    programs.push(program);
    const watcher = new Watcher(program);
    await watcher.line(1);
    return watcher;
  }

  /** What read, write, flush, zeroes and trim come to now, one word each. */
  async look(): Promise<string> {
    const before = this.lines().length;
    this.program.say('look\n');
    return this.line(before + 1);
  }

  private lines(): string[] {
    return this.program.output().split('\n').slice(0, -1);
  }

  private async line(count: number): Promise<string> {
    await pair.until('a line of the watcher', () => this.lines().length >= count);
    return this.lines()[count - 1] ?? '';
  }
}

/** What a host is told that may not have an export. */
async function refusal(uri: string): Promise<string> {
  const { code, said } = await run('qemu-img', ['info', uri], { timeoutMs: TEST_MS });
  expect(code).toBe(1);
  return said;
}

testWith(
  ['nbdsh', 'qemu-io', 'qemu-img'],
  '[R4] a set that was migrated away refuses hosts that are there and hosts that come',
  async () => {
    await qemuIo(pair.uri('tokyo'), 'write -P 1 0 1M', 'flush');
    const there = await Watcher.at(pair.uri('tokyo'));
    expect(await there.look()).toBe('ok ok ok ok ok');
    await pair.make('osaka');
    const target = await pair.serve('osaka');
    await rcopyJson('migrate', await pair.address('tokyo'), target, '--force');
    expect(await there.look()).toBe(Array(5).fill('ESHUTDOWN').join(' '));
    expect(await refusal(pair.uri('tokyo'))).toContain('tokyo is sealed: osaka took over');
    // The target has it all and takes hosts; the secondary follows it.
    await qemuIo(pair.uri('osaka'), 'read -P 1 4k 1020k', 'write -P 2 1M 1M', 'flush');
    await expectEqual(pair, 'osaka', 'kyoto');
  },
  TEST_MS,
);

testWith(
  ['nbdsh', 'nbdinfo', 'qemu-io'],
  'a secondary can only be read; after a takeover new connections write to it',
  async () => {
    await qemuIo(pair.uri('tokyo'), 'write -P 1 0 1M', 'flush');
    await rcopyJson('wait', await pair.address('tokyo'), '--synced', '--timeout', '30s');
    const write = ['-f', 'raw', '-t', 'none', '-c', 'write 0 4k', pair.uri('kyoto')];
    const { code, said } = await run('qemu-io', write, { timeoutMs: TEST_MS });
    expect(`${code} ${said}`).toMatch(/^1 .*Permission denied/);
    const there = await Watcher.at(pair.uri('kyoto'));
    const readOnly = 'ok EPERM ok EPERM EPERM';
    expect(await there.look()).toBe(readOnly);

    await pair.daemon('tokyo').kill();
    await rcopyJson('takeover', await pair.address('kyoto'), '--force');
    // What was agreed on with those who are there stays as it was agreed on.
    expect(await there.look()).toBe(readOnly);
    await qemuIo(pair.uri('kyoto'), 'read -P 1 0 1M');
    await qemuIo(pair.uri('kyoto'), 'write -P 9 0 1M', 'flush', 'read -P 9 0 1M');
    const told = await succeed('nbdinfo', ['--json', pair.uri('kyoto')], { timeoutMs: TEST_MS });
    expect(JSON.parse(told)).toMatchObject({ exports: [{ is_read_only: false }] });
  },
  TEST_MS,
);
