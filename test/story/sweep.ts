/** Tells the story with every fault: which points there are, and what each one comes to. */
import type { Survival } from '../sim/disk.ts';
import { StoryWorld } from './world.ts';
import type { Fault } from './world.ts';
import { tellStory } from './story.ts';
import type { Plot } from './story.ts';

export interface SweepPoints {
  /** Mutating file operations of the story without a fault. */
  readonly operations: number;
  /** Messages over links, both directions. */
  readonly messages: number;
}

/** Tells a story once without a fault, to count the places where one can strike. */
export async function countPoints(seed: number, plot: Plot): Promise<SweepPoints> {
  const world = new StoryWorld({ kind: 'none' }, seed);
  const { copies } = await tellStory(world, seed, plot);
  if (copies !== 1) throw new Error(`${copies} full copies without any fault`);
  return { operations: world.disk.operations, messages: world.messages };
}

/** Every `every`-th crash point from `first` on, in one way of surviving. */
export function crashes(
  points: SweepPoints,
  survival: Survival,
  every: number,
  first: number,
): Fault[] {
  const faults: Fault[] = [];
  for (let at = first; at < points.operations; at += every) {
    faults.push({ kind: 'crash', at, survival });
  }
  return faults;
}

/** Every `every`-th message, cut before it is sent or behind it. */
export function cuts(points: SweepPoints, arrives: boolean, every: number, first: number): Fault[] {
  const faults: Fault[] = [];
  for (let at = first; at < points.messages; at += every) {
    faults.push({ kind: 'cut', at, arrives });
  }
  return faults;
}

/** Tells a story with each fault. Returns those that broke it, with their errors. */
export async function sweep(
  faults: readonly Fault[],
  seed: number,
  plot: Plot,
): Promise<{ fault: Fault; error: unknown }[]> {
  const failed: { fault: Fault; error: unknown }[] = [];
  for (const fault of faults) {
    const world = new StoryWorld(fault, seed);
    try {
      await tellStory(world, seed, plot);
      if (!world.struck) throw new Error('the fault never struck');
    } catch (error) {
      failed.push({ fault, error });
    }
  }
  return failed;
}
