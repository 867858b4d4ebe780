/** Colours by what they mean, so that a view never names one; plain text where none belong. */

/** Gives a text the look of its meaning. */
export interface Paint {
  readonly strong: (text: string) => string;
  readonly faint: (text: string) => string;
  readonly good: (text: string) => string;
  readonly warning: (text: string) => string;
  readonly bad: (text: string) => string;
  /** Something to type or to look up. */
  readonly accent: (text: string) => string;
}

const asItIs = (text: string): string => text;

export const plainPaint: Paint = {
  strong: asItIs,
  faint: asItIs,
  good: asItIs,
  warning: asItIs,
  bad: asItIs,
  accent: asItIs,
};

/** The part of a stream that tells whether somebody looks at it. */
export interface Screen {
  readonly isTTY?: boolean | undefined;
  /** Of a terminal; 0 where it does not say. */
  readonly columns?: number | undefined;
}

/** Whether lines can be drawn over again: a terminal that knows how, and how wide it is. */
export function canRedraw(
  { isTTY = false, columns = 80 }: Screen,
  environment: Readonly<Record<string, string | undefined>>,
): boolean {
  return isTTY && columns > 0 && environment['TERM'] !== 'dumb';
}

/** Whether colours belong on `screen`: a terminal that knows them, and nobody who said no. */
export function wantsColor(
  screen: Screen,
  environment: Readonly<Record<string, string | undefined>>,
  refused: boolean,
): boolean {
  const { NO_COLOR: noColor = '', TERM: terminal } = environment;
  return screen.isTTY === true && !refused && noColor === '' && terminal !== 'dumb';
}

/** The paint for a terminal; loads the colours only now. */
export async function loadPaint(): Promise<Paint> {
  const { Chalk, supportsColor } = await import('chalk');
  // Somebody who redirects stdout but reads stderr in colours has a terminal of at least 16.
  const level = supportsColor === false ? 1 : supportsColor.level;
  const chalk = new Chalk({ level });
  // One text each: as it is, chalk would also take in the index that `map` hands on.
  return {
    strong: (text) => chalk.bold(text),
    faint: (text) => chalk.dim(text),
    good: (text) => chalk.green(text),
    warning: (text) => chalk.yellow(text),
    bad: (text) => chalk.red(text),
    accent: (text) => chalk.cyan(text),
  };
}
