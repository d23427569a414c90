/** Code pages of Alt codes: bytes to characters. */

/** What the control codes show in code pages 437 and 850. */
const CONTROLS = ' ☺☻♥♦♣♠•◘○◙♂♀♪♫☼►◄↕‼¶§▬↨↑↓→←∟↔▲▼';

/** Bytes 128 to 255. */
const CP437 =
  'ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀' +
  'αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u00a0';
const CP850 =
  'ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜø£Ø×ƒáíóúñÑªº¿®¬½¼¡«»░▒▓│┤ÁÂÀ©╣║╗╝¢¥┐└┴┬├─┼ãÃ╚╔╩╦╠═╬¤ðÐÊËÈıÍÎÏ┘┌█▄¦Ì▀' +
  'ÓßÔÒõÕµþÞÚÛÙýÝ¯´\u00ad±‗¾¶§÷¸°¨·¹³²■\u00a0';

/** Bytes 128 to 159 of Windows-1252; the rest is Latin-1. */
const CP1252 = '€\u0081‚ƒ„…†‡ˆ‰Š‹Œ\u008dŽ\u008f\u0090‘’“”•–—˜™š›œ\u009džŸ';

/** The character of Alt+`digits` on the numeric keypad; with a leading zero in Windows-1252, else in `oem`. */
export function altCode(digits: string, oem: 437 | 850): string {
  const byte = Number.parseInt(digits, 10) % 256;
  if (byte === 0) return '';
  if (digits.startsWith('0')) {
    return byte >= 0x80 && byte < 0xa0 ? (CP1252[byte - 0x80] ?? '') : String.fromCharCode(byte);
  }
  if (byte < 0x20) return CONTROLS[byte] ?? '';
  if (byte === 0x7f) return '⌂';
  if (byte < 0x7f) return String.fromCharCode(byte);
  return (oem === 437 ? CP437 : CP850)[byte - 0x80] ?? '';
}
