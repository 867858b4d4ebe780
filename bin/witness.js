/**
 * The witness of `rcopy demo`: an independent model of what volumes must hold. It shares no code
 * with rcopy. A host tells it on stdin each write that was acknowledged, in the order in which they
 * were (no two that overlap were under way at once); it applies them to reference files of its own,
 * and in the end compares those byte by byte with raw images.
 *
 *     node bin/witness.js FOLDER        FOLDER takes the reference files
 *
 * A message is a line of words, some with bytes right behind it:
 *
 *     volume NAME BYTES                          a volume of zeroes
 *     image FIRST LAST NAME PATH                 an image was imported; PATH is the line's rest
 *     write NAME OFFSET LENGTH                   LENGTH bytes follow
 *     zeroes NAME OFFSET LENGTH
 *     mark NUMBER                                nothing was under way when it was set
 *     read NAME OFFSET LENGTH                    LENGTH bytes follow: what the host was given
 *     compare NAME PATH                          answered with one line of JSON
 *     report                                     answered with one line of JSON
 *
 * Hosts are not told who acknowledged their writes, nor the sequence numbers of these, but they can
 * be counted: each write takes one, whoever gives it. Where a number is told, it has to be the one
 * that comes next by that count, so none was left out or given twice before it.
 *
 * Exits with 0 when all that was compared was equal, all reads were right and all numbers were the
 * next ones; else with 1; with 2 when it does not understand what it is told.
 */
import { createHash } from 'node:crypto';
import { closeSync, fstatSync, ftruncateSync, openSync, readSync, writeSync } from 'node:fs';
import { join } from 'node:path';

const CHUNK_BYTES = 1024 * 1024;
const ZEROES = Buffer.alloc(CHUNK_BYTES);

/** Takes lines and runs of bytes from a stream of chunks. */
class Input {
  #chunks;
  /** @type {Buffer} */
  #rest = Buffer.alloc(0);

  /** @param {AsyncIterable<Buffer>} stream */
  constructor(stream) {
    this.#chunks = stream[Symbol.asyncIterator]();
  }

  /** @returns {Promise<string | null>} the next line, or null at the end */
  async line() {
    for (;;) {
      const end = this.#rest.indexOf(0x0a);
      if (end >= 0) {
        const line = this.#rest.toString('utf8', 0, end);
        this.#rest = this.#rest.subarray(end + 1);
        return line;
      }
      if (!(await this.#more())) return null;
    }
  }

  /**
   * @param {number} length
   * @returns {Promise<Buffer>}
   */
  async bytes(length) {
    while (this.#rest.length < length) {
      if (!(await this.#more())) throw new Error('the input ends within a message');
    }
    const bytes = this.#rest.subarray(0, length);
    this.#rest = this.#rest.subarray(length);
    return bytes;
  }

  async #more() {
    const { done, value } = await this.#chunks.next();
    if (done) return false;
    this.#rest = this.#rest.length === 0 ? value : Buffer.concat([this.#rest, value]);
    return true;
  }
}

/**
 * Calls `take` with each piece of a file's range.
 *
 * @param {number} file
 * @param {number} from
 * @param {number} to
 * @param {(piece: Buffer, offset: number) => void} take
 */
function eachPiece(file, from, to, take) {
  const buffer = Buffer.alloc(CHUNK_BYTES);
  for (let offset = from; offset < to;) {
    const wanted = Math.min(CHUNK_BYTES, to - offset);
    const got = readSync(file, buffer, 0, wanted, offset);
    if (got === 0) throw new Error(`a file ends at ${offset}, not at ${to}`);
    take(buffer.subarray(0, got), offset);
    offset += got;
  }
}

/**
 * @param {number} file
 * @param {Buffer} bytes
 * @param {number} position
 */
function writeAll(file, bytes, position) {
  for (let done = 0; done < bytes.length;) {
    done += writeSync(file, bytes, done, bytes.length - done, position + done);
  }
}

/** @typedef {{ file: number, size: number }} Volume */

class Witness {
  /** @type {Map<string, Volume>} */
  #volumes = new Map();
  /** How many numbers must have been given. */
  #numbers = 0;
  #acknowledged = 0;
  #reads = 0;
  /** @type {string[]} */
  #problems = [];
  #folder;
  #input;

  /**
   * @param {string} folder
   * @param {Input} input
   */
  constructor(folder, input) {
    this.#folder = folder;
    this.#input = input;
  }

  get isContent() {
    return this.#problems.length === 0;
  }

  /** @param {string} line */
  async take(line) {
    const [word = '', ...words] = line.split(' ');
    switch (word) {
      case 'volume':
        return this.#newVolume(words[0] ?? '', Number(words[1]));
      case 'image':
        this.#numbered(Number(words[0]), Number(words[1]));
        return this.#image(words[2] ?? '', words.slice(3).join(' '));
      case 'write':
        this.#count(1);
        return this.#write(words[0] ?? '', Number(words[1]), Number(words[2]));
      case 'zeroes':
        this.#count(1);
        return this.#zero(words[0] ?? '', Number(words[1]), Number(words[2]));
      case 'mark':
        return this.#numbered(Number(words[0]), Number(words[0]));
      case 'read':
        return this.#checkRead(words[0] ?? '', Number(words[1]), Number(words[2]));
      case 'compare':
        return this.#compare(words[0] ?? '', words.slice(1).join(' '));
      case 'report':
        return this.#report();
      default:
        throw new Error(`unknown message: ${line}`);
    }
  }

  /**
   * @param {string} name
   * @param {number} size
   */
  #newVolume(name, size) {
    const file = openSync(join(this.#folder, `${name}.reference`), 'wx+');
    ftruncateSync(file, size);
    this.#volumes.set(name, { file, size });
  }

  /**
   * One acknowledged request that took so many numbers.
   *
   * @param {number} numbers
   */
  #count(numbers) {
    this.#numbers += numbers;
    this.#acknowledged += 1;
  }

  /**
   * One whose numbers were told: the next ones, whoever gave those before.
   *
   * @param {number} first
   * @param {number} last
   */
  #numbered(first, last) {
    const next = this.#numbers + 1;
    if (first !== next || !(last >= first)) {
      this.#problems.push(`${first} to ${last} were given where ${next} comes next`);
    }
    this.#count(last - first + 1);
  }

  /**
   * @param {string} name
   * @param {string} path
   */
  #image(name, path) {
    const { file, size } = this.#volume(name);
    const image = openSync(path, 'r');
    const length = fstatSync(image).size;
    eachPiece(image, 0, length, (piece, offset) => {
      // Zeroes are there already: the volume is new.
      if (!piece.equals(ZEROES.subarray(0, piece.length))) writeAll(file, piece, offset);
    });
    closeSync(image);
    if (length > size) throw new Error(`${path} is longer than volume ${name}`);
  }

  /**
   * @param {string} name
   * @param {number} offset
   * @param {number} length
   */
  async #write(name, offset, length) {
    const { file } = this.#range(name, offset, length);
    writeAll(file, await this.#input.bytes(length), offset);
  }

  /**
   * @param {string} name
   * @param {number} offset
   * @param {number} length
   */
  #zero(name, offset, length) {
    const { file } = this.#range(name, offset, length);
    for (let done = 0; done < length; done += CHUNK_BYTES) {
      writeAll(file, ZEROES.subarray(0, Math.min(CHUNK_BYTES, length - done)), offset + done);
    }
  }

  /**
   * @param {string} name
   * @param {number} offset
   * @param {number} length
   */
  async #checkRead(name, offset, length) {
    const { file } = this.#range(name, offset, length);
    const given = await this.#input.bytes(length);
    this.#reads += 1;
    eachPiece(file, offset, offset + length, (piece, at) => {
      if (piece.equals(given.subarray(at - offset, at - offset + piece.length))) return;
      this.#problems.push(`a read of ${length} bytes at ${offset} of ${name} was wrong`);
    });
  }

  /**
   * @param {string} name
   * @param {string} path
   */
  #compare(name, path) {
    const { file, size } = this.#volume(name);
    const image = openSync(path, 'r');
    const { size: imageSize, blocks } = fstatSync(image);
    const reference = createHash('sha256');
    const found = createHash('sha256');
    /** @type {number | null} */
    let differsAt = imageSize === size ? null : Math.min(imageSize, size);
    const other = Buffer.alloc(CHUNK_BYTES);
    eachPiece(file, 0, size, (piece) => reference.update(piece));
    eachPiece(image, 0, imageSize, (piece, offset) => {
      found.update(piece);
      const got = readSync(file, other, 0, piece.length, offset);
      if (piece.equals(other.subarray(0, got))) return;
      let at = 0;
      while (piece[at] === other[at]) at += 1;
      differsAt = Math.min(differsAt ?? Infinity, offset + at);
    });
    closeSync(image);
    if (differsAt !== null) this.#problems.push(`${path} differs from byte ${differsAt} on`);
    answer({
      volume: name,
      equal: differsAt === null,
      differsAt,
      bytes: size,
      imageBytes: imageSize,
      imageBytesOnDisk: blocks * 512,
      referenceSha256: reference.digest('hex'),
      imageSha256: found.digest('hex'),
    });
  }

  #report() {
    answer({
      content: this.isContent,
      problems: this.#problems.slice(0, 10),
      acknowledged: this.#acknowledged,
      reads: this.#reads,
      numbers: this.#numbers,
    });
  }

  /**
   * @param {string} name
   * @returns {Volume}
   */
  #volume(name) {
    const volume = this.#volumes.get(name);
    if (volume === undefined) throw new Error(`there is no volume ${name}`);
    return volume;
  }

  /**
   * @param {string} name
   * @param {number} offset
   * @param {number} length
   */
  #range(name, offset, length) {
    const volume = this.#volume(name);
    const inside = offset >= 0 && length > 0 && offset + length <= volume.size;
    if (!inside) throw new Error(`${length} bytes at ${offset} leave volume ${name}`);
    return volume;
  }
}

/** @param {object} value */
function answer(value) {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}

// Ctrl-C goes to the whole foreground; the witness ends when its host does.
process.on('SIGINT', () => undefined);

try {
  const [folder] = process.argv.slice(2);
  if (folder === undefined) throw new Error('usage: node bin/witness.js FOLDER');
  const input = new Input(process.stdin);
  const witness = new Witness(folder, input);
  for (let line = await input.line(); line !== null; line = await input.line()) {
    await witness.take(line);
  }
  process.exitCode = witness.isContent ? 0 : 1;
} catch (error) {
  process.stderr.write(`witness: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 2;
}
