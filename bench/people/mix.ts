/** Who does what in a run: pure numbers out of what was asked for. */

export const MIXES = ['ssh', 'rdp', 'mixed'] as const;
export type Mix = (typeof MIXES)[number];

/** How many sessions do what; `direct…`: beside them, without the gateway. */
export interface Plan {
  /** Typing at synthetic targets and at a real sshd; some of the latter with OpenSSH's own client. */
  readonly type: number;
  readonly typeSshd: number;
  readonly openssh: number;
  /** Looking at output that scrolls. */
  readonly watch: number;
  readonly bulk: number;
  /** Synthetic desktops, and those of a real xrdp in a real xfreerdp. */
  readonly desktop: number;
  readonly xfreerdp: number;
  readonly directType: number;
  readonly directSshd: number;
  readonly directDesktop: number;
}

/** A session of a real sshd costs three processes. */
const SSHD_SHARE = 0.1;
const SSHD_MAX = 60;
const OPENSSH_MAX = 5;
const WATCH_SHARE = 0.1;
const BULK_SHARE = 0.01;
const REAL_DESKTOPS = 20;
/** Direct sessions to those through the gateway: enough keys for a percentile, little load. */
const DIRECT_SHARE = 0.1;
/** Of sessions that are few, some of each kind. */
const DIRECT_MIN = 4;

/** @param real whether the packages of real desktops are there */
export function planOf(sessions: number, mix: Mix, real: boolean): Plan {
  const rdp = mix === 'ssh' ? 0 : mix === 'rdp' ? sessions : Math.floor(sessions / 2);
  const ssh = sessions - rdp;
  const share = (of: number, part: number): number => Math.round(of * part);
  const sshd = Math.min(share(ssh, SSHD_SHARE), SSHD_MAX);
  const openssh = Math.min(Math.floor(sshd / 2), OPENSSH_MAX);
  const watch = share(ssh, WATCH_SHARE);
  const bulk = ssh === 0 ? 0 : Math.max(1, share(ssh, BULK_SHARE));
  // A few synthetic ones in any case: in these somebody types.
  const xfreerdp = real ? Math.min(Math.floor(rdp / 2), REAL_DESKTOPS) : 0;
  const direct = (of: number): number => (of === 0 ? 0 : Math.max(DIRECT_MIN, share(of, DIRECT_SHARE)));
  const directSshd = Math.min(share(direct(ssh), SSHD_SHARE), sshd);
  return {
    type: Math.max(0, ssh - sshd - watch - bulk),
    typeSshd: sshd - openssh,
    openssh,
    watch,
    bulk,
    desktop: rdp - xfreerdp,
    xfreerdp,
    directType: direct(ssh) - directSshd,
    directSshd,
    directDesktop: direct(rdp),
  };
}

/** Sessions through the gateway. */
export const sessionsOf = (plan: Plan): number =>
  plan.type + plan.typeSshd + plan.openssh + plan.watch + plan.bulk + plan.desktop + plan.xfreerdp;

/** Of them, those in which somebody types. */
export const typistsOf = (plan: Plan): number => plan.type + plan.typeSshd + plan.openssh + plan.desktop;
