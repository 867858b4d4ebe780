#!/usr/bin/env node
// rcopy straight from its TypeScript sources, for developers: no build, the same command line.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { execute } from '@oclif/core/execute';
import { settings } from '@oclif/core/settings';
import { register } from 'tsx/esm/api';

register();
// oclif's own way to TypeScript does not know this compiler; tsx has already taken care of it.
settings.enableAutoTranspile = false;

const root = fileURLToPath(new URL('..', import.meta.url));
const pjson = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));
pjson.oclif.commands = './commands';
await execute({ loadOptions: { root, pjson } });
