/** The daemon's log, on stderr: text for people on a terminal, JSON for machines elsewhere. */
import { pino } from 'pino';
import type { DestinationStream } from 'pino';
import type { LogFormat, LogLevel } from './words.ts';

/** Facts for machines, a message for people. */
type LogLine = (facts: object, message: string) => void;

export interface Log {
  /** One JSON object a line; else text. */
  readonly isJson: boolean;
  readonly debug: LogLine;
  readonly info: LogLine;
  readonly warn: LogLine;
  readonly error: LogLine;
}

/** Where the log goes: stderr. */
export interface LogScreen {
  readonly isTTY?: boolean;
  readonly fd: number;
}

export interface LogSettings {
  readonly logLevel: LogLevel;
  readonly logFormat: LogFormat;
}

export async function makeLog(
  { logLevel, logFormat }: LogSettings,
  screen: LogScreen,
): Promise<Log> {
  const isText = logFormat === 'text' || (logFormat === 'auto' && screen.isTTY === true);
  const options = { level: logLevel, base: null, timestamp: pino.stdTimeFunctions.isoTime };
  const logger = isText
    ? pino(options, await textStream(screen))
    : pino(options, pino.destination({ dest: screen.fd, sync: true }));
  return {
    isJson: !isText,
    debug: (facts, message) => logger.debug(facts, message),
    info: (facts, message) => logger.info(facts, message),
    warn: (facts, message) => logger.warn(facts, message),
    error: (facts, message) => logger.error(facts, message),
  };
}

async function textStream({ fd, isTTY = false }: LogScreen): Promise<DestinationStream> {
  const { default: pretty } = await import('pino-pretty');
  const colorize = isTTY && (process.env['NO_COLOR'] ?? '') === '';
  return pretty({
    destination: fd,
    sync: true,
    colorize,
    singleLine: true,
    translateTime: 'SYS:HH:MM:ss.l',
  });
}
