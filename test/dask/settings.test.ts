import { describe, expect, test } from "vitest";
import { derivedSettings, settingValues } from "../../src/dask/settings.ts";

describe("Dask's settings that follow from the size", () => {
  test("are none for a launch of ordinary size", () => {
    expect(settingValues({ workers: 16, here: 16, cores: 16 })).toEqual({});
    expect(settingValues({ workers: 100, here: 2, cores: 2 })).toEqual({});
  });

  test("make processes that share cores wake up less often, within bounds", () => {
    expect(settingValues({ workers: 14, here: 14, cores: 2 })).toEqual({
      "distributed.worker.profile.interval": "70ms",
      "distributed.worker.profile.cycle": "7000ms",
      "distributed.admin.tick.interval": "140ms",
      "distributed.admin.system-monitor.interval": "3500ms",
    });
    const crowded = settingValues({ workers: 254, here: 254, cores: 2 });
    expect(crowded["distributed.worker.profile.interval"]).toBe("1000ms");
    expect(crowded["distributed.comm.timeouts.connect"]).toBe("157s");
  });

  test("give thousands the time that they need, and a backlog that holds them", () => {
    expect(settingValues({ workers: 1360, here: 68, cores: 128 })).toEqual({
      "distributed.comm.timeouts.connect": "156s",
      "distributed.comm.timeouts.tcp": "156s",
      "distributed.scheduler.worker-ttl": "436s",
      "distributed.comm.socket-backlog": 2_720,
    });
    expect(settingValues({ workers: 1024, here: 64, cores: 128 })).not.toHaveProperty([
      "distributed.comm.socket-backlog",
    ]);
    expect(settingValues({ workers: 1025, here: 64, cores: 128 })["distributed.comm.socket-backlog"]).toBe(2_050);
    const most = settingValues({ workers: 27_648, here: 6, cores: 42 });
    expect(most["distributed.comm.timeouts.tcp"]).toBe("600s");
    expect(most["distributed.comm.socket-backlog"]).toBe(55_296);
  });

  test("say why", () => {
    const { why } = derivedSettings({ workers: 8, here: 8, cores: 1 })["distributed.admin.tick.interval"] ?? {};
    expect(why).toBe("8 workers share 1 core: each wakes up 8 times less often");
  });
});
