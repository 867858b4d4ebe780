/** What `npm run fixtures` runs. */
import { writeDamaged } from './damaged-samples.ts';
import { writeSamples } from './sample-sets.ts';

await writeSamples();
await writeDamaged();
