/**
 * The public library: what a program needs to work on image sets in its own process. The command
 * line is built on the same parts.
 */
export { RcopyError, isRcopyError } from './base/errors.ts';
export type { ErrorCode } from './base/errors.ts';
export { openPath } from './daemon/open-path.ts';
export type { HostPath, OpenPathOptions } from './daemon/open-path.ts';
export { readDevice, submitAndWait } from './device/device.ts';
export type { Completion, Device, DeviceRequest, Done } from './device/device.ts';
export type * from './node/path-service.ts';
export { Site } from './control/site.ts';
export type { SiteOptions } from './control/site.ts';
export type { CreateRequest, FreshTarget } from './control/set-making.ts';
export { inspectSet } from './control/inspect.ts';
export type { InspectAnswer } from './control/inspect.ts';
export { inspectJournal } from './control/inspect-journal.ts';
export type { JournalLine } from './control/inspect-journal.ts';
export type { Finding } from './base/finding.ts';
export type * from './node/answers.ts';
export type * from './node/requests.ts';
export type { StorageNode } from './node/storage-node.ts';
export { nodeEnvironment } from './sys/node-environment.ts';
export type { Environment } from './sys/environment.ts';
