/** What people call the keyboard layouts of CS_CORE.keyboardLayout (MS-RDPBCGR 2.2.1.3.2). */

/** By the whole identifier where a language has several layouts. */
const LAYOUTS: Readonly<Record<number, string>> = {
  132105: 'US International',
  66569: 'Dvorak',
  66567: 'German (IBM)',
  66572: 'French (AZERTY)',
  67596: 'Belgian (Comma)',
};

/** By the language, its low 16 bits. */
const LANGUAGES: Readonly<Record<number, string>> = {
  1026: 'Bulgarian',
  1029: 'Czech',
  1030: 'Danish',
  1031: 'German',
  1032: 'Greek',
  1033: 'US English',
  1034: 'Spanish',
  1035: 'Finnish',
  1036: 'French',
  1038: 'Hungarian',
  1039: 'Icelandic',
  1040: 'Italian',
  1041: 'Japanese',
  1042: 'Korean',
  1043: 'Dutch',
  1044: 'Norwegian',
  1045: 'Polish',
  1046: 'Portuguese (Brazil)',
  1048: 'Romanian',
  1049: 'Russian',
  1050: 'Croatian',
  1051: 'Slovak',
  1053: 'Swedish',
  1055: 'Turkish',
  1058: 'Ukrainian',
  1060: 'Slovenian',
  1061: 'Estonian',
  1062: 'Latvian',
  1063: 'Lithuanian',
  2055: 'Swiss German',
  2057: 'UK English',
  2058: 'Spanish (Latin America)',
  2060: 'Belgian',
  2067: 'Belgian',
  2070: 'Portuguese',
  3079: 'German',
  3082: 'Spanish',
  3084: 'French (Canada)',
  4105: 'French (Canada)',
  4108: 'Swiss French',
  6153: 'Irish',
};

/** `undefined` for a layout without a name here. */
export function keyboardName(layout: number): string | undefined {
  return LAYOUTS[layout] ?? LANGUAGES[layout & 0xffff];
}
