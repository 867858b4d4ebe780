/** What `npm run fixtures` runs. */
import { writeSamples } from './sample-sets.ts';

await writeSamples();
