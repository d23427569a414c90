/** What is counted of those who come. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Registry } from 'prom-client';
import { AccessMetrics } from '../../../gateway/metrics/access-metrics.ts';

function counting(): { access: AccessMetrics; samples(name: string): Promise<Record<string, number>> } {
  const registry = new Registry();
  const access = new AccessMetrics(registry);
  return {
    access,
    async samples(name) {
      const values = (await registry.getSingleMetric(name)?.get())?.values ?? [];
      return Object.fromEntries(values.map(({ labels, value }) => [Object.values(labels).join(' '), value]));
    },
  };
}

test('log-ons by their outcome and factor, refusals by where and why', async () => {
  const { access, samples } = counting();
  const ssh = { protocol: 'ssh' };
  access.heard({ code: 'user.login.succeeded', detail: { ...ssh, method: 'publickey, otp' } }, 1);
  access.heard({ code: 'user.login.failed', detail: { ...ssh, factor: 'password' } }, 1);
  access.heard({ code: 'user.login.failed', detail: { ...ssh, factor: 'password' } }, 1);
  access.heard({ code: 'user.login.blocked', detail: ssh }, 1);
  access.heard({ code: 'session.denied', detail: { ...ssh, code: 'no-policy' } }, 1);
  access.heard({ code: 'session.denied', detail: { ...ssh, code: 'lease-lost' } }, 1);
  access.heard({ code: 'session.refused', detail: { ...ssh, code: 'node-full', account: 'root' } }, 1);
  access.heard({ code: 'session.refused', detail: { ...ssh, code: 'user-full', account: 'root' } }, 1);
  access.heard({ code: 'session.refused', detail: { ...ssh, code: 'source-limit' } }, 30);
  access.heard({ code: 'session.ended', detail: { code: 'idle-timeout' } }, 1);
  access.turnedAway('source-limit', 30);
  access.turnedAway('full', 2);
  assert.deepEqual(await samples('sallyport_log_ons_total'), {
    'ssh accepted publickey, otp': 1,
    'ssh refused password': 2,
    'ssh blocked any': 1,
    'rdp blocked any': 0,
  });
  assert.deepEqual(await samples('sallyport_refusals_total'), {
    'log-on password': 2,
    'log-on blocked': 1,
    'policy no-policy': 1,
    'admission lease-lost': 1,
    'admission node-full': 1,
    'limit user-full': 1,
    'door source-limit': 30,
    'admission full': 2,
    ...Object.fromEntries(
      ['overloaded', 'draining', 'node-overloaded', 'node-draining'].map((reason) => [
        `admission ${reason}`,
        0,
      ]),
    ),
  });
  assert.deepEqual(await samples('sallyport_sessions_ended_total'), { 'idle-timeout': 1 });
  const events = await samples('sallyport_audit_events_total');
  assert.equal(events['session.refused'], 32);
  assert.equal(
    events['recording.failed'],
    0,
    'what has not happened yet is there, so that the first time shows',
  );
});

test('whatever reasons there are, a label has few values', async () => {
  const { access, samples } = counting();
  for (let each = 0; each < 1000; each += 1)
    access.heard({ code: 'session.denied', detail: { code: `reason-${each}` } }, 1);
  const refusals = await samples('sallyport_refusals_total');
  assert.equal(Object.keys(refusals).filter((key) => key.startsWith('policy ')).length, 65);
  assert.equal(refusals['policy other'], 1000 - 64);
});
