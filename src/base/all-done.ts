/** Several things at once, none of which is left under way when one has failed. */

/** Resolves when all are done; rejects with the first failure when all have ended. */
export async function allDone(works: readonly (Promise<unknown> | undefined)[]): Promise<void> {
  const ends = await Promise.allSettled(works);
  for (const end of ends) if (end.status === 'rejected') throw end.reason;
}
