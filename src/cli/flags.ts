/** The flags and arguments that several commands share, with their parsers. */
import * as Args from '@oclif/core/args';
import * as Flags from '@oclif/core/flags';
import type { Arg } from '@oclif/core/interfaces';
import { RcopyError } from '../base/errors.ts';
import { parseDuration } from '../base/durations.ts';
import { parseName, parseVolumeSpec } from './names.ts';
import type { VolumeSpec } from './names.ts';
import { parseCount, parseOffset, parseRate, parseSize } from '../base/sizes.ts';

export const sizeFlag = Flags.custom<number>({
  helpValue: 'SIZE',
  parse: async (text) => parseSize(text),
});

/** A place in a file: as a size, or in hexadecimal as dumps show it. */
export const offsetFlag = Flags.custom<number>({
  helpValue: 'OFFSET',
  parse: async (text) => parseOffset(text),
});

export const rateFlag = Flags.custom<number>({
  helpValue: 'RATE',
  parse: async (text) => parseRate(text),
});

export const durationFlag = Flags.custom<number>({
  helpValue: 'TIME',
  parse: async (text) => parseDuration(text),
});

export const countFlag = Flags.custom<number>({
  helpValue: 'N',
  parse: async (text) => parseCount(text),
});

export const nameFlag = Flags.custom({
  helpValue: 'NAME',
  parse: async (text) => parseName(text),
});

export const pathFlag = Flags.custom({
  helpValue: 'PATH',
  parse: async (text) => notEmpty(text),
});

export const volumeSpecFlag = Flags.custom<VolumeSpec>({
  helpValue: 'NAME=SIZE',
  parse: async (text) => parseVolumeSpec(text),
});

/** `--volume NAME` of the commands that work on one volume. */
export const volumeFlag = nameFlag({
  description: 'volume to use; may be left out when the set has only one',
});

/** An image set. oclif would take a missing argument from stdin, which belongs to the data. */
export function setArg({ description }: { readonly description: string }): Arg<string> {
  return Args.string({
    description,
    required: true,
    ignoreStdin: true,
    parse: async (text) => notEmpty(text),
  });
}

/** A name as an argument. */
export function nameArg({ description }: { readonly description: string }): Arg<string> {
  return Args.string({
    description,
    required: true,
    ignoreStdin: true,
    parse: async (text) => parseName(text),
  });
}

/** A path or address that is not nothing. Throws `E_USAGE`. */
export function notEmpty(text: string): string {
  if (text === '') throw new RcopyError('E_USAGE', 'an empty path');
  return text;
}
