/** A place in a file that is not as it should be, and what is wrong with it. */
export interface Finding {
  readonly file: string;
  /** In bytes from the start of the file. */
  readonly offset: number;
  readonly problem: string;
}

/** A finding as one line for people. */
export function findingText({ file, offset, problem }: Finding): string {
  return `${file} at offset ${offset}: ${problem}`;
}
