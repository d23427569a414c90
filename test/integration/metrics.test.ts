/**
 * What a gateway with sessions of both kinds tells Prometheus and its log, and that dashboard, alert rules
 * and documentation speak of just that.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before } from 'node:test';
import { type Bed, PASSWORD, ssh, sshTerminal, startBed } from '../support/bed.ts';
import { Evidence } from '../support/evidence.ts';
import { asTable, type Exposed, readExposition, sampleOf, scrape } from '../support/exposition.ts';
import { obstacle, testWith } from '../support/packages.ts';
import { runOk, until } from '../support/process.ts';
import { type Prometheus, startPrometheus } from '../support/prometheus.ts';
import { type DesktopTarget, openDesktop, paints, startDesktop } from '../support/rdp-actors.ts';

const NEEDS = ['openssh-server', 'openssh-client', 'prometheus'] as const;
const ROOT = join(import.meta.dirname, '../..');
const RULES = join(ROOT, 'deploy/prometheus/alerts.yml');
/** Of the account on the desktop. */
const LEASED = 'leased-desktop-Wv63';
const TRIED = 'tried-and-refused-Ku58';

let bed: Bed;
let desktop: DesktopTarget;
let evidence: Evidence;
let prometheus: Prometheus;

before(async () => {
  if (obstacle(NEEDS) !== undefined) return;
  desktop = await startDesktop();
  bed = await startBed({
    document: () => ({
      systems: [
        {
          name: 'win01',
          protocol: 'rdp',
          host: '127.0.0.1',
          port: desktop.port,
          certificate: 'trust-on-first-use',
        },
      ],
      accounts: [{ name: 'admin', system: 'win01', password: LEASED }],
      policies: [{ name: 'desktops', users: ['alice'], accounts: ['*@win01'], allow: ['desktop'] }],
    }),
  });
  evidence = await Evidence.of(bed.gateway);
  prometheus = await startPrometheus(bed.gateway.healthPort, RULES);
});
after(async () => {
  await prometheus?.stop();
  await evidence?.close();
  await bed?.stop();
  desktop?.stop();
});

/** Metrics that fit, once they do. */
function metricsOnce(what: string, fits: (metrics: Map<string, Exposed>) => boolean) {
  return until(what, async () => {
    const metrics = readExposition(await scrape(bed.gateway));
    return fits(metrics) ? metrics : undefined;
  });
}

/** Everything that dashboard and alert rules ask of Prometheus. */
function dashboardExpressions(): string[] {
  const dashboard = JSON.parse(readFileSync(join(ROOT, 'deploy/grafana/sallyport.json'), 'utf8')) as {
    panels: { targets?: { expr: string }[] }[];
    annotations: { list: { expr: string }[] };
  };
  return [...dashboard.panels.flatMap(({ targets = [] }) => targets), ...dashboard.annotations.list].map(
    ({ expr }) => expr.replaceAll('$__rate_interval', '20s').replaceAll('$instance', '.*'),
  );
}

testWith(NEEDS, 'sessions of both kinds show in metrics, log, dashboard and rules', async (t) => {
  // Somebody guesses, somebody wants what no policy gives.
  assert.equal((await ssh(bed.doorFor(bed.targetLogin('alice'), TRIED), ['target', 'id'])).code, 255);
  assert.notEqual((await ssh(bed.doorFor('alice@root@web01', PASSWORD), ['target', 'id'])).code, 0);
  assert.equal((await ssh(bed.door, ['target', 'echo over'])).text, 'over\n');
  const over = await evidence.session('alice', 'ended');
  const terminal = sshTerminal(bed.door, ['target']);
  await terminal.expect('$ ');
  const { id: sshId } = await evidence.session('alice', 'active');
  const client = await openDesktop(bed.gateway.rdpPort, 'alice+admin+win01', { password: PASSWORD });
  t.after(() => client.stream.destroy());
  const { stream } = await desktop.session();
  await client.activated();
  const { id: rdpId } = await until('the session of the desktop', async () =>
    (await evidence.sessions()).find(({ protocol, state }) => protocol === 'rdp' && state === 'active'),
  );
  let [painted, typed] = [0, 0];
  const busy = setInterval(() => {
    terminal.type(`echo ${typed++}\r`);
    client.press();
    stream.send(paints(painted++));
  }, 50);
  t.after(() => clearInterval(busy));

  const protocols = ['ssh', 'rdp'] as const;
  const metrics = await metricsOnce('both kinds have been relayed', (now) =>
    protocols.every((protocol) =>
      ['client', 'target'].every(
        (from) => sampleOf(now, 'sallyport_relay_delay_seconds_count', { protocol, from }) > 50,
      ),
    ),
  );
  for (const protocol of protocols) {
    assert.equal(sampleOf(metrics, 'sallyport_sessions', { protocol, state: 'active' }), 1);
    assert.equal(sampleOf(metrics, 'sallyport_connections', { protocol }), 1);
    const begun = protocol === 'ssh' ? 2 : 1;
    assert.equal(sampleOf(metrics, 'sallyport_sessions_started_total', { protocol }), begun);
    assert.equal(sampleOf(metrics, 'sallyport_setup_total_seconds_count', { protocol }), begun);
    for (const stage of ['log-on', 'authorise', 'recording', 'check-out', 'dial', 'start'])
      assert.ok(sampleOf(metrics, 'sallyport_setup_seconds_count', { protocol, stage }) >= begun, stage);
    for (const from of ['client', 'target']) {
      assert.ok(sampleOf(metrics, 'sallyport_relayed_bytes_total', { protocol, from }) > 100);
      const sum = sampleOf(metrics, 'sallyport_relay_delay_seconds_sum', { protocol, from });
      assert.ok(sum > 0 && sum < 30, `${sum} s`);
    }
  }
  assert.equal(sampleOf(metrics, 'sallyport_recordings'), 2);
  assert.ok(sampleOf(metrics, 'sallyport_archive_appended_bytes_total') > 0);
  assert.equal(sampleOf(metrics, 'sallyport_refusals_total', { stage: 'log-on', reason: 'password' }), 1);
  assert.equal(sampleOf(metrics, 'sallyport_refusals_total', { stage: 'policy', reason: 'no-account' }), 1);
  assert.ok(sampleOf(metrics, 'sallyport_resident_memory_bytes') > 50e6);
  assert.equal(sampleOf(metrics, 'sallyport_ready'), 1);

  await Promise.all(
    dashboardExpressions().map(async (expression) => {
      // Those that leave out what is 0 have nothing to show of a gateway that is well.
      const mayBeEmpty = /(==|>) [01]$/.test(expression);
      await until(`data of ${expression}`, async () =>
        (await prometheus.query(expression)).length > 0 || mayBeEmpty ? true : undefined,
      );
    }),
  );
  const rules = await prometheus.rules();
  for (const { name, health, lastError, state } of rules) {
    assert.equal(health, 'ok', `${name}: ${lastError}`);
    assert.notEqual(state, 'firing', `${name} fires, although nothing is wrong`);
  }

  clearInterval(busy);
  const body = await scrape(bed.gateway);
  await runOk('promtool', ['check', 'metrics'], { input: body });
  terminal.type('exit\r');
  await terminal.ended;
  client.stream.destroy();
  const end = await metricsOnce('all have ended', (now) => sampleOf(now, 'sallyport_recordings') === 0);
  for (const protocol of protocols) {
    assert.equal(sampleOf(end, 'sallyport_sessions', { protocol, state: 'active' }), 0);
    for (const from of ['client', 'target']) {
      const labels = { protocol, from };
      const [was, is] = [metrics, end].map((each) => sampleOf(each, 'sallyport_relayed_bytes_total', labels));
      assert.ok((is ?? 0) >= (was ?? 0), 'what was relayed stays counted');
    }
  }
  await until('the ends are written', async () =>
    (await evidence.sessions()).every(({ state }) => state === 'ended') ? true : undefined,
  );
  holdsToLog([over.id, sshId, rdpId]);
  for (const secret of [PASSWORD, TRIED, LEASED, bed.sshd.account.password])
    assert.ok(!body.includes(secret) && !bed.gateway.log().includes(secret));
  for (const id of [sshId, rdpId, 'alice', 'web01', 'win01', '127.0.0.1'])
    assert.ok(!body.includes(id), `${id} is in a label: there would be a series for each`);
  holdsToDocument(readExposition(await scrape(bed.gateway)));
});

/** What is in the log beside the lines of sessions that went as they should; whatever else is there names its session. */
const OF_NO_SESSION: readonly unknown[] = ['node started', 'session refused'];

/** Each session has its lines, and every line that is about one says which, and of which worker. */
function holdsToLog(ids: readonly string[]): void {
  const lines = bed.gateway
    .log()
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as Record<string, unknown>);
  for (const line of lines) {
    if (OF_NO_SESSION.includes(line['msg'])) continue;
    assert.ok(ids.includes(String(line['session'])), JSON.stringify(line));
    assert.equal(typeof line['worker'], 'number', JSON.stringify(line));
  }
  for (const id of ids) {
    const own = lines.filter(({ session }) => session === id);
    assert.deepEqual(
      own.map(({ level, msg }) => [level, msg]),
      [
        [30, 'session started'],
        [30, 'session ended'],
      ],
    );
    assert.equal(own[0]?.['user'], 'alice');
    assert.equal(own[1]?.['code'], 'client-closed');
  }
  const refused = lines.find(({ msg }) => msg === 'session refused');
  assert.deepEqual(
    [refused?.['user'], refused?.['account'], refused?.['system'], refused?.['source']],
    ['alice', 'root', 'web01', '127.0.0.1'],
  );
}

/** docs/metrics.md has a line for each metric, and none for others. */
function holdsToDocument(metrics: Map<string, Exposed>): void {
  const rows = readFileSync(join(ROOT, 'docs/metrics.md'), 'utf8')
    .split('\n')
    .filter((line) => /^\| `(sallyport|process)_/.test(line));
  const order = (lines: readonly string[]): string => [...lines].sort().join('\n');
  assert.equal(order(rows), order(asTable(metrics)));
}

testWith(['prometheus'], 'the alert rules are valid, and fire when they should', async () => {
  await runOk('promtool', ['check', 'rules', RULES]);
  await runOk('promtool', ['test', 'rules', join(ROOT, 'deploy/prometheus/alerts.test.yml')]);
});
