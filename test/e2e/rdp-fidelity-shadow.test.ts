/** Recordings of freerdp-shadow's desktop show what the client showed. */
import { fidelityTests } from '../support/fidelity.ts';
import { startShadow } from '../support/freerdp.ts';

const account = { name: 'operator', password: 'Target-only-9' };
fidelityTests({
  server: 'freerdp-shadow',
  needs: ['freerdp2-shadow-x11', 'winpr-utils'],
  depths: [
    [32, 32],
    // It agrees on 24 bits, and sends 16.
    [24, 16],
    [16, 16],
  ],
  async start() {
    const shadow = await startShadow({ user: account.name, password: account.password });
    return { ...shadow, account, desktop: async () => shadow.display, endSessions: async () => {} };
  },
});
