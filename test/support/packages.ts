/** The Debian packages that bring the real clients and servers of the end-to-end tests. */
import { existsSync } from 'node:fs';
import { type TestContext, type TestOptions, test } from 'node:test';
import { run } from './process.ts';

/** Package → a file that it brings. */
const PACKAGES = {
  'openssh-server': '/usr/sbin/sshd',
  'openssh-client': '/usr/bin/ssh',
  'openssh-sftp-server': '/usr/lib/openssh/sftp-server',
  'putty-tools': '/usr/bin/plink',
  'dropbear-bin': '/usr/sbin/dropbear',
  sshpass: '/usr/bin/sshpass',
  tlog: '/usr/bin/tlog-rec',
  'python3-paramiko': '/usr/lib/python3/dist-packages/paramiko/__init__.py',
  'python3-asyncssh': '/usr/lib/python3/dist-packages/asyncssh/__init__.py',
  'ansible-core': '/usr/bin/ansible',
  rsync: '/usr/bin/rsync',
  git: '/usr/bin/git',
  haproxy: '/usr/sbin/haproxy',
  prometheus: '/usr/bin/promtool',
  systemd: '/usr/bin/systemd-analyze',
  xauth: '/usr/bin/xauth',
  xvfb: '/usr/bin/Xvfb',
  'x11-utils': '/usr/bin/xdpyinfo',
  'x11-xserver-utils': '/usr/bin/xrandr',
  socat: '/usr/bin/socat',
  'netcat-openbsd': '/bin/nc.openbsd',
  tmux: '/usr/bin/tmux',
  xrdp: '/usr/sbin/xrdp',
  xorgxrdp: '/usr/lib/xorg/modules/libxorgxrdp.so',
  'freerdp2-x11': '/usr/bin/xfreerdp',
  'freerdp2-shadow-x11': '/usr/bin/freerdp-shadow-cli',
  'winpr-utils': '/usr/bin/winpr-hash',
  rdesktop: '/usr/bin/rdesktop',
  xdotool: '/usr/bin/xdotool',
  xterm: '/usr/bin/xterm',
  'x11-apps': '/usr/bin/xwd',
  imagemagick: '/usr/bin/convert-im6.q16',
  xclip: '/usr/bin/xclip',
  fuse3: '/usr/bin/fusermount3',
  ffmpeg: '/usr/bin/ffprobe',
  chromium: '/usr/bin/chromium',
  radosgw: '/usr/bin/radosgw',
  'ceph-mon': '/usr/bin/ceph-mon',
  'ceph-osd': '/usr/bin/ceph-osd',
  'ceph-common': '/usr/bin/ceph',
} as const;
export type Package = keyof typeof PACKAGES;

/** Debian's own Python, for which the packages above are built; another may come first on the PATH. */
export const PYTHON = '/usr/bin/python3';

function missing(names: readonly Package[]): Package[] {
  return names.filter((name) => !existsSync(PACKAGES[name]));
}

/**
 * Installs what is missing when this is root on Debian. Returns what is missing afterwards:
 * tests that need it leave themselves out ({@link testWith}).
 */
export async function ensurePackages(): Promise<readonly Package[]> {
  const wanted = missing(Object.keys(PACKAGES) as Package[]);
  if (wanted.length === 0 || process.getuid?.() !== 0 || !existsSync('/usr/bin/apt-get')) return wanted;
  const options = { env: { DEBIAN_FRONTEND: 'noninteractive' }, timeoutMs: 600_000 };
  await run('apt-get', ['update', '-q'], options);
  // Another installation on this machine may hold the lock: wait for it instead of going without.
  const install = ['install', '-q', '-y', '--no-install-recommends', '-o', 'DPkg::Lock::Timeout=240'];
  const all = await run('apt-get', [...install, ...wanted], options);
  // One package that the mirror does not have must not cost the others.
  if (all.code !== 0) for (const name of wanted) await run('apt-get', [...install, name], options);
  return missing(wanted);
}

/** Why tests that need `packages` and root cannot run here, or undefined when they can. */
export function obstacle(packages: readonly Package[]): string | undefined {
  if (process.getuid?.() !== 0) return 'needs root (a private sshd with an account of its own)';
  const absent = missing(packages);
  return absent.length === 0 ? undefined : `needs the packages ${absent.join(' ')}`;
}

/** A test that leaves itself out, and says why, where the machine lacks `packages`. */
export function testWith(
  packages: readonly Package[],
  name: string,
  body: (context: TestContext) => Promise<void>,
  options: TestOptions = {},
): void {
  const reason = obstacle(packages);
  test(name, { timeout: 180_000, ...options, ...(reason === undefined ? {} : { skip: reason }) }, body);
}
