/** A stretch of a file or a volume that is all data or all hole. */
export interface Extent {
  readonly offset: number;
  readonly length: number;
  readonly data: boolean;
}
