// The contract of devices, held by memory, by a volume of an image set, by both over NBD, and by a
// path controller's export.
import { NbdClient } from '../../src/nbd/client.ts';
import type { Device } from '../../src/device/device.ts';
import type { SimulatedClock } from '../sim/clock.ts';
import { PathSwitch } from '../../src/path/path-switch.ts';
import { SMALL_JOURNAL, newSet, newWorld } from '../support/image-sets.ts';
import { MemoryDevice } from '../support/memory-device.ts';
import { NbdWorld } from '../support/nbd-hand.ts';
import { DEVICE_BYTES, describeDevices } from './device.contract.ts';
import type { DeviceUnderTest } from './device.contract.ts';

describeDevices('memory', async () => ({
  device: new MemoryDevice(DEVICE_BYTES),
  settle: async () => undefined,
  dispose: async () => undefined,
}));

/** Room for everything that the tests write, and requests as large as they are. */
const JOURNAL = { ...SMALL_JOURNAL, segmentBytes: 512 * 1024, requestBytesMax: 256 * 1024 };

async function volume(): Promise<DeviceUnderTest & { readonly clock: SimulatedClock }> {
  const world = newWorld();
  const set = await newSet(world, {
    volumes: [{ name: 'db', sizeBytes: DEVICE_BYTES }],
    journal: JOURNAL,
  });
  const [device] = set.volumes;
  if (!device) throw new Error('no volume');
  return {
    device,
    clock: world.clock,
    settle: () => world.clock.pass(1000),
    dispose: async () => {
      const closing = set.close();
      await world.clock.pass(1000);
      await closing;
    },
  };
}

describeDevices('a volume of an image set', volume);

/** A client of a server of `device`. */
async function overNbd(device: Device, settleDevice: () => Promise<void>) {
  const world = new NbdWorld({ db: device }, { chunkBytesMax: 5000 });
  const [ours, theirs] = world.streams();
  world.server.accept(theirs);
  const opening = NbdClient.open(ours, { clock: world.clock, exportName: 'db' });
  await world.clock.pass(0);
  const client = await opening;
  return {
    device: client,
    settle: async () => {
      await world.clock.pass(0);
      await settleDevice();
      await world.clock.pass(0);
    },
    dispose: async () => {
      const closing = client.close();
      await world.clock.pass(0);
      await closing;
      if (world.usedBytes > 0) throw new Error('the server still holds memory');
    },
  };
}

describeDevices('memory over NBD', () =>
  overNbd(new MemoryDevice(DEVICE_BYTES), async () => undefined),
);

describeDevices('a volume over NBD', async () => {
  const under = await volume();
  const remote = await overNbd(under.device, () => under.settle());
  return {
    ...remote,
    dispose: async () => {
      await remote.dispose();
      await under.dispose();
    },
  };
});

describeDevices('an export of a path controller', async () => {
  const under = await volume();
  const { device, clock } = under;
  const hosts = new PathSwitch(clock, { holdMs: 60_000, retainedBytes: 100_000 });
  const path = hosts.export('db', device.sizeBytes);
  hosts.connect(new Map([['db', device]]));
  hosts.release();
  return { ...under, device: path.forHost() };
});
