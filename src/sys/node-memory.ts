/** How the memory of this process is managed. */
import { setFlagsFromString } from 'node:v8';

/**
 * Buffers count as memory that a collection could free. The few megabytes of objects that a daemon
 * has set a limit so low that every 25 MiB of payload would lead to a collection of everything,
 * which takes half of the time of two cores at full load. By how much the heap may grow until then:
 */
const HEAP_GROWTH_PERCENT = 140;

/** For processes through which much data flows: to be called once, before that. */
export function collectLessOften(): void {
  setFlagsFromString(`--heap-growing-percent=${HEAP_GROWTH_PERCENT}`);
}
