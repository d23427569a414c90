/**
 * Windows' keyboard layouts as data, as KBDUS.DLL and its kin define them. Where X's layouts
 * of the same name say something else, Windows wins: it is what clients name and targets
 * take. The comments tell where; besides, X fills all places behind AltGr that are empty here.
 *
 * Rows of tokens, separated by blanks, for the keys of the main block from left to right:
 *
 *     scancodes 29 02-0D  |  10-1B  |  1E-28 2B  |  56 2C-35  |  73 7E (Brazil only)
 *
 * A token is a character; a doubled character is a dead key, `--` is nothing.
 */
export type Rows = readonly string[];

export interface LayoutTable {
  /** Language identifiers and layout numbers (KLID) that mean this layout. */
  readonly ids: readonly number[];
  readonly plain: Rows;
  readonly shift: Rows;
  /** Tokens behind the plain character of their key: `q@` is AltGr+Q. Without it the right Alt is an Alt. */
  readonly altGr?: string;
  readonly shiftAltGr?: string;
  /** Plain characters of keys, letters aside, on which Caps Lock acts like Shift. */
  readonly caps?: string;
  /** Plain characters of keys on which Caps Lock makes what is typed a capital. */
  readonly capsUpper?: string;
  /** Of the numeric keypad; a period unless told. */
  readonly decimal?: ',';
  /** Code page of Alt codes without a leading zero; 850 unless told. */
  readonly oem?: 437;
}

/** The letters of a QWERTY board, row by row. */
const top = 'q w e r t y u i o p';
const home = 'a s d f g h j k l';
const bottom = 'z x c v b n m';
const TOP = top.toUpperCase();
const HOME = home.toUpperCase();
const BOTTOM = bottom.toUpperCase();

/** What the boards of the North have in common. */
const NORDIC_ALTGR = '2@ 3£ 4$ 5€ 7{ 8[ 9] 0} e€ mµ ¨~~';

const SWISS_ALTGR = "1¦ 2@ 3# 4° 5§ 6¬ 7| 8¢ '´´ ^~~ e€ ¨] $} <\\";

/** United States. X has < > on the key of scancode 56. */
const US: LayoutTable = {
  ids: [0x409],
  plain: ['` 1 2 3 4 5 6 7 8 9 0 - =', `${top} [ ]`, `${home} ; ' \\`, `\\ ${bottom} , . /`],
  shift: ['~ ! @ # $ % ^ & * ( ) _ +', `${TOP} { }`, `${HOME} : " |`, `| ${BOTTOM} < > ?`],
  oem: 437,
};

export const LAYOUT_TABLES: readonly LayoutTable[] = [
  US,
  {
    // United States-International. X calls the dead keys ' and " an acute accent and a diaeresis.
    ids: [0x20409],
    plain: ['`` 1 2 3 4 5 6 7 8 9 0 - =', `${top} [ ]`, `${home} ; '' \\`, `\\ ${bottom} , . /`],
    shift: ['~~ ! @ # $ % ^^ & * ( ) _ +', `${TOP} { }`, `${HOME} : "" |`, `| ${BOTTOM} < > ?`],
    altGr:
      "1¡ 2² 3³ 4¤ 5€ 6¼ 7½ 8¾ 9‘ 0’ -¥ =× qä wå eé r® tþ yü uú ií oó pö [« ]» aá sß dð lø ;¶ '´ \\¬ zæ c© nñ mµ ,ç /¿",
    shiftAltGr: "1¹ 4£ =÷ qÄ wÅ eÉ tÞ yÜ uÚ iÍ oÓ pÖ aÁ s§ dÐ lØ ;° '¨ \\¦ zÆ c¢ nÑ ,Ç",
    oem: 437,
  },
  {
    // United Kingdom. X has neither the vowels nor \ behind AltGr, and | instead of ¦.
    ids: [0x809],
    plain: ['` 1 2 3 4 5 6 7 8 9 0 - =', `${top} [ ]`, `${home} ; ' #`, `\\ ${bottom} , . /`],
    shift: ['¬ ! " £ $ % ^ & * ( ) _ +', `${TOP} { }`, `${HOME} : @ ~`, `| ${BOTTOM} < > ?`],
    altGr: '`¦ 4€ eé uú ií oó aá #\\',
    shiftAltGr: 'eÉ uÚ iÍ oÓ aÁ #|',
  },
  {
    // German. X has ¿ instead of ẞ, and Caps Lock for letters only.
    ids: [0x407],
    plain: [
      '^^ 1 2 3 4 5 6 7 8 9 0 ß ´´',
      'q w e r t z u i o p ü +',
      `${home} ö ä #`,
      '< y x c v b n m , . -',
    ],
    shift: [
      '° ! " § $ % & / ( ) = ? ``',
      'Q W E R T Z U I O P Ü *',
      `${HOME} Ö Ä '`,
      '> Y X C V B N M ; : _',
    ],
    altGr: '2² 3³ 7{ 8[ 9] 0} ß\\ q@ e€ +~ mµ <|',
    shiftAltGr: 'ßẞ',
    caps: '1234567890ß+#,.',
    decimal: ',',
  },
  {
    // Swiss German. X has | ¼ ½ instead of ¦ ° § behind AltGr.
    ids: [0x807],
    plain: [
      "§ 1 2 3 4 5 6 7 8 9 0 ' ^^",
      'q w e r t z u i o p ü ¨¨',
      `${home} ö ä $`,
      '< y x c v b n m , . -',
    ],
    shift: [
      '° + " * ç % & / ( ) = ? ``',
      'Q W E R T Z U I O P è !',
      `${HOME} é à £`,
      '> Y X C V B N M ; : _',
    ],
    altGr: `${SWISS_ALTGR} ü[ ä{`,
    capsUpper: 'üöä',
  },
  {
    // Swiss French. X as before.
    ids: [0x100c],
    plain: [
      "§ 1 2 3 4 5 6 7 8 9 0 ' ^^",
      'q w e r t z u i o p è ¨¨',
      `${home} é à $`,
      '< y x c v b n m , . -',
    ],
    shift: [
      '° + " * ç % & / ( ) = ? ``',
      'Q W E R T Z U I O P ü !',
      `${HOME} ö ä £`,
      '> Y X C V B N M ; : _',
    ],
    altGr: `${SWISS_ALTGR} è[ à{`,
  },
  {
    // French. In X ~ and ` are no dead keys, and Shift+² is ~.
    ids: [0x40c],
    plain: [
      '² & é " \' ( - è _ ç à ) =',
      'a z e r t y u i o p ^^ $',
      'q s d f g h j k l m ù *',
      '< w x c v b n , ; : !',
    ],
    shift: [
      '-- 1 2 3 4 5 6 7 8 9 0 ° +',
      'A Z E R T Y U I O P ¨¨ £',
      'Q S D F G H J K L M % µ',
      '> W X C V B N ? . / §',
    ],
    altGr: 'é~~ "# \'{ ([ -| è`` _\\ ç^ à@ )] =} e€ $¤',
    caps: '&é"\'(-è_çà)=^$ù*,;:!',
  },
  {
    // Belgian French, Belgian (Period). X has ¼ ½ instead of { [ on 4 and 5, and other dead keys behind Shift+AltGr.
    ids: [0x80c, 0x813],
    plain: [
      '² & é " \' ( § è ! ç à ) -',
      'a z e r t y u i o p ^^ $',
      'q s d f g h j k l m ù µ',
      '< w x c v b n , ; : =',
    ],
    shift: [
      '³ 1 2 3 4 5 6 7 8 9 0 ° _',
      'A Z E R T Y U I O P ¨¨ *',
      'Q S D F G H J K L M % £',
      '> W X C V B N ? . / +',
    ],
    altGr: '&| é@ "# \'{ ([ §^ ç{ à} e€ ^[ $] ù´´ µ`` <\\ =~~',
    shiftAltGr: 'ù´´ µ`` =~~',
    caps: '&é"\'(§è!çà)-^$ùµ,;:=',
  },
  {
    // Spanish, traditional and modern sort. In X ~ is no dead key, and AltGr+5 is ½.
    ids: [0x40a, 0xc0a],
    plain: ["º 1 2 3 4 5 6 7 8 9 0 ' ¡", `${top} \`\` +`, `${home} ñ ´´ ç`, `< ${bottom} , . -`],
    shift: ['ª ! " · $ % & / ( ) = ? ¿', `${TOP} ^^ *`, `${HOME} Ñ ¨¨ Ç`, `> ${BOTTOM} ; : _`],
    altGr: 'º\\ 1| 2@ 3# 4~~ 5€ 6¬ e€ `[ +] ´{ ç}',
  },
  {
    // Italian. Caps Lock leaves è é ò à ù as they are; in X AltGr+5 is ½.
    ids: [0x410],
    plain: ["\\ 1 2 3 4 5 6 7 8 9 0 ' ì", `${top} è +`, `${home} ò à ù`, `< ${bottom} , . -`],
    shift: ['| ! " £ $ % & / ( ) = ? ^', `${TOP} é *`, `${HOME} ç ° §`, `> ${BOTTOM} ; : _`],
    altGr: '5€ e€ è[ +] ò@ à#',
    shiftAltGr: 'è{ +}',
  },
  {
    // Norwegian. In X AltGr+5 is ½.
    ids: [0x414],
    plain: ['| 1 2 3 4 5 6 7 8 9 0 + \\', `${top} å ¨¨`, `${home} ø æ '`, `< ${bottom} , . -`],
    shift: ['§ ! " # ¤ % & / ( ) = ? ``', `${TOP} Å ^^`, `${HOME} Ø Æ *`, `> ${BOTTOM} ; : _`],
    altGr: `${NORDIC_ALTGR} \\´´`,
    decimal: ',',
  },
  {
    // Danish. In X AltGr+5 is ½.
    ids: [0x406],
    plain: ['½ 1 2 3 4 5 6 7 8 9 0 + ´´', `${top} å ¨¨`, `${home} æ ø '`, `< ${bottom} , . -`],
    shift: ['§ ! " # ¤ % & / ( ) = ? ``', `${TOP} Å ^^`, `${HOME} Æ Ø *`, `> ${BOTTOM} ; : _`],
    altGr: `${NORDIC_ALTGR} ´| <\\`,
    decimal: ',',
  },
  {
    // Swedish, Finnish. In X's Finnish AltGr+5 is ‰.
    ids: [0x41d, 0x40b],
    plain: ['§ 1 2 3 4 5 6 7 8 9 0 + ´´', `${top} å ¨¨`, `${home} ö ä '`, `< ${bottom} , . -`],
    shift: ['½ ! " # ¤ % & / ( ) = ? ``', `${TOP} Å ^^`, `${HOME} Ö Ä *`, `> ${BOTTOM} ; : _`],
    altGr: `${NORDIC_ALTGR} +\\ <|`,
    decimal: ',',
  },
  {
    // Dutch. X has the Greek μ, and | instead of ¦.
    ids: [0x413],
    plain: ['@ 1 2 3 4 5 6 7 8 9 0 / °', `${top} ¨¨ *`, `${home} + ´´ <`, `] ${bottom} , . -`],
    shift: ['§ ! " # $ % & _ ( ) \' ? ~~', `${TOP} ^^ |`, `${HOME} ± \`\` >`, `[ ${BOTTOM} ; : =`],
    altGr: '@¬ 1¹ 2² 3³ 4¼ 5½ 6¾ 7£ 8{ 9} /\\ °¸¸ e€ r¶ sß ]¦ z« x» c¢ mµ .·',
    decimal: ',',
  },
  {
    // Portuguese. In X AltGr+5 is ½ and AltGr+´ a dead ~.
    ids: [0x816],
    plain: ["\\ 1 2 3 4 5 6 7 8 9 0 ' «", `${top} + ´´`, `${home} ç º ~~`, `< ${bottom} , . -`],
    shift: ['| ! " # $ % & / ( ) = ? »', `${TOP} * \`\``, `${HOME} Ç ª ^^`, `> ${BOTTOM} ; : _`],
    altGr: '2@ 3£ 4§ 5€ 7{ 8[ 9] 0} e€ +¨¨ ´]',
  },
  {
    // Portuguese (Brazil, ABNT). X has © instead of ₢.
    ids: [0x416],
    plain: ["' 1 2 3 4 5 6 7 8 9 0 - =", `${top} ´´ [`, `${home} ç ~~ ]`, `\\ ${bottom} , . ;`, '/ .'],
    shift: ['" ! @ # $ % ¨¨ & * ( ) _ +', `${TOP} \`\` {`, `${HOME} Ç ^^ }`, `| ${BOTTOM} < > :`, '? .'],
    altGr: '1¹ 2² 3³ 4£ 5¢ 6¬ =§ q/ w? e° [ª ]º c₢ /°',
    decimal: ',',
  },
];

/** What stands for layouts that are not here. */
export const FALLBACK: LayoutTable = US;
