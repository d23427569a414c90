/** The README's tour works as printed: its commands run in order on a first run, its examples are accepted. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { parse } from 'yaml';
import { parseConfig } from '../../gateway/config/config.ts';
import { generateIdentity } from '../../recorder/index.ts';
import { startGateway } from '../support/gateway.ts';
import { testWith } from '../support/packages.ts';
import { run, until } from '../support/process.ts';
import { temporaryFolder } from '../support/temp.ts';

const README = readFileSync(join(import.meta.dirname, '../../README.md'), 'utf8');

function blocks(language: string): string[] {
  return [...README.matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\``, 'gms'))].map(
    ([, text]) => text ?? '',
  );
}

/** The words of each command that begins with `prefix`, comments left out. */
function commands(prefix: string): string[][] {
  return blocks('sh')
    .flatMap((block) => block.split('\n'))
    .filter((line) => line.startsWith(prefix))
    .map((line) => line.slice(prefix.length).replace(/\s+#.*$/, ''))
    .map((line) => [...line.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, bare]) => quoted ?? bare ?? ''));
}

testWith(['openssh-client', 'sshpass'], 'the tour runs as printed, from the first start on', async () => {
  const gateway = await startGateway({ config: { node: { name: 'tour', dataDir: './data' } } });
  try {
    const password = await until('the first start prints the password of the demonstration', () =>
      Promise.resolve(/demo user +demo +(\S+)\n/.exec(gateway.log())?.[1]),
    );
    const [line] = commands('ssh -p 4422 ');
    assert.deepEqual(line, ['demo@demo@demo@127.0.0.1']);
    const known = join(temporaryFolder('readme'), 'known_hosts');
    const options = ['-F', 'none', '-o', 'StrictHostKeyChecking=no', '-o', `UserKnownHostsFile=${known}`];
    const ssh = ['-e', 'ssh', '-tt', ...options, '-p', String(gateway.sshPort), ...line];
    const shell = await run('sshpass', ssh, {
      env: { SSHPASS: password },
      input: 'echo the-tour\nexit\n',
    });
    assert.match(shell.text, /the-tour/);
    const id = await until('the recording is sealed', async () => {
      const [row] = await gateway.json<{ id: string; sealed: boolean }[]>(['recordings', 'ls']);
      return row?.sealed === true ? row.id : undefined;
    });

    const seen: string[] = [];
    for (const words of commands('npx sallyport ')) {
      const [group = '', verb = ''] = words;
      if (['lock', 'unlock', 'terminate'].includes(verb) || ['apply', 'launch'].includes(group)) continue;
      // Those are for a machine without this configuration.
      if (words.includes('--archive')) continue;
      const result = await gateway.sallyport(words.map((word) => (word === 'ID' ? id : word)));
      assert.equal(result.code, 0, `sallyport ${words.join(' ')}: ${result.stderr}`);
      seen.push(`${group} ${verb}`);
      if (verb === 'play') assert.match(result.text, /the-tour/);
    }
    for (const wanted of ['sessions ls', 'recordings ls', 'recordings play', 'recordings verify', 'audit '])
      assert.ok(seen.includes(wanted), `the README shows ${wanted}`);
  } finally {
    await gateway.stop();
  }
});

test('its sallyport.yaml is accepted', async () => {
  const example = blocks('yaml').find((block) => block.includes('archive:')) ?? assert.fail('no example');
  const { recipient } = await generateIdentity();
  const config = parseConfig(example.replace('age1…', recipient), '/etc/sallyport.yaml');
  assert.equal(config.archive.window.bytes, 4 * 1024 * 1024);
});

testWith(['openssh-client'], 'its example of apply is accepted as it stands, and launches', async () => {
  const gateway = await startGateway();
  try {
    const example = blocks('yaml').find((block) => block.includes('users:')) ?? assert.fail('no example');
    const folder = temporaryFolder('readme-apply');
    await run('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', join(folder, 'key')]);
    const key = readFileSync(join(folder, 'key.pub'), 'utf8').split(' ').slice(0, 2).join(' ');
    const filled = example
      .replaceAll(/ssh-ed25519 AAAAC3…/g, key)
      .replace('env:ALICE_PASSWORD', 'a-password')
      .replace('env:ALICE_TOTP', 'JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP')
      .replace('file:/run/secrets/web01-root', 'a-secret')
      .replace('file:/run/secrets/win01-administrator', 'a-secret')
      .replace('file:/run/secrets/deploy_key', `file:${join(folder, 'key')}`);
    assert.match((await gateway.apply(parse(filled))).text, /created/);
    const launches = commands('npx sallyport launch');
    assert.equal(launches.length, 1);
    for (const words of launches) {
      const output = join(folder, 'launch.rdp');
      const { code, stderr } = await gateway.sallyport(['launch', ...words, '--output', output]);
      assert.equal(code, 0, stderr);
    }
  } finally {
    await gateway.stop();
  }
});
