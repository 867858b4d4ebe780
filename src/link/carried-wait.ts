/**
 * A sender that carries an epoch on for another set may be at a secondary that has more of it than
 * has come here yet. It waits until what it has reaches to where the secondary said it was: only
 * then that place can be proved (R5). Meanwhile it lets go of what is durable there, lest the
 * journal has no room for the rest (R9): the maps of the handover name it (R7), and the source
 * keeps it until all has come.
 */
import { comparePositions } from '../base/position.ts';
import type { ImageSet } from '../imageset/image-set.ts';
import type { Run } from '../journal/run.ts';
import type { Acknowledgement, ReceiverEpoch, Welcome } from './messages.ts';

export class CarriedWait {
  private readonly set: ImageSet;
  private readonly run: Run;
  private readonly greeting: Welcome;
  private place: ReceiverEpoch | undefined;

  constructor(set: ImageSet, run: Run, greeting: Welcome) {
    this.set = set;
    this.run = run;
    this.greeting = greeting;
    this.place = greeting.epochs.find(
      ({ epoch, id }) => epoch === run.epoch && id === run.identity.id,
    );
    if (!this.isOver) this.letGo();
  }

  /** What is here reaches to the secondary's place, or nothing has to: it has all, or this set. */
  get isOver(): boolean {
    const { set, run, place } = this;
    const isOwn = run.identity.writer === set.file.setId;
    return !place || place.sealed || isOwn || run.seal !== undefined || run.next >= place.next;
  }

  /**
   * The secondary has made more durable. What it took in since the greeting does not count, but
   * the seal does: with that it has everything.
   */
  hear({ epochs }: Acknowledgement): void {
    const { place, run } = this;
    const said = epochs.find(({ epoch }) => epoch === run.epoch);
    if (!place || !said || said.durable <= place.durable) return;
    const durable = said.sealed ? said.durable : Math.min(said.durable, place.next - 1);
    this.place = { ...place, durable, sealed: said.sealed };
    this.letGo();
  }

  /** The greeting, as it would be now for the same place. */
  get welcome(): Welcome {
    const { place, greeting } = this;
    if (!place) return greeting;
    const epochs = greeting.epochs.map((each) => (each.epoch === place.epoch ? place : each));
    return { ...greeting, epochs };
  }

  private letGo(): void {
    const { set, run, place } = this;
    if (!place) return;
    const there = { epoch: run.epoch, sequence: place.durable };
    const { durable = { epoch: 0, sequence: 0 }, restored = durable } = set.secondary ?? {};
    if (comparePositions(durable, there) < 0) set.noteSecondary({ durable: there, restored });
  }
}
