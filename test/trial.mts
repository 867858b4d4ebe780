// throw-away: which tests see a mutant
import { MUTANTS } from './sim/mutants/all.ts';
import { inScratch, testFailure } from './sim/mutants/workshop.ts';
for (const word of process.argv.slice(2)) {
  const [name, ...tests] = word.split(',');
  const mutant = MUTANTS.find((m) => m.name === name);
  if (!mutant) {
    console.log('NO', name);
    continue;
  }
  await inScratch(process.cwd(), mutant, async (folder) => {
    for (const t of tests) console.log(name, t, '=>', await testFailure(folder, t));
  });
}
