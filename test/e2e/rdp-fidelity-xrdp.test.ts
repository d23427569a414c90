/** Recordings of xrdp's desktops show what the client showed. */
import { fidelityTests } from '../support/fidelity.ts';
import { startXrdp } from '../support/xrdp.ts';

fidelityTests({
  server: 'xrdp',
  needs: ['xrdp', 'xorgxrdp'],
  depths: [
    [32, 32],
    [24, 24],
    [16, 16],
  ],
  async start() {
    const xrdp = await startXrdp();
    return {
      ...xrdp,
      async desktop() {
        await xrdp.ready();
        return xrdp.desktop();
      },
    };
  },
});
