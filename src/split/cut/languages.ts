/** A programming language by the name of its grammar, with the names and file endings that people use for it. */
const namesByGrammar = {
  bash: ['bash', 'sh', 'shell', 'zsh'],
  'c-sharp': ['c-sharp', 'csharp', 'c#', 'cs'],
  cpp: ['cpp', 'c++', 'cc', 'cxx', 'hpp', 'hh', 'hxx', 'c', 'h'],
  css: ['css'],
  go: ['go', 'golang'],
  java: ['java'],
  javascript: ['javascript', 'js', 'mjs', 'cjs', 'jsx'],
  php: ['php'],
  powershell: ['powershell', 'ps1', 'psm1'],
  python: ['python', 'py', 'pyi', 'python3'],
  ruby: ['ruby', 'rb'],
  rust: ['rust', 'rs'],
  tsx: ['tsx'],
  typescript: ['typescript', 'ts', 'mts', 'cts'],
} as const

export type Grammar = keyof typeof namesByGrammar

/** `Python`, `py`, `.py`, `app.py` → python; undefined for what there is no grammar for. */
export function grammarNamed(language: string): Grammar | undefined {
  const asked = language.trim().toLowerCase()
  const ending = asked.slice(asked.lastIndexOf('.') + 1)
  for (const [grammar, names] of Object.entries(namesByGrammar))
    if ((names as readonly string[]).some((name) => name === asked || name === ending))
      return grammar as Grammar
  return undefined
}

/** Lines that are at home in one language and rare in the others. */
const signs: Readonly<Partial<Record<Grammar, RegExp>>> = {
  python:
    /^(?:from [\w.]+ import |import \w+(?:\.\w+)*(?: as \w+)?\s*$|\s*(?:async )?def \w+\(.*\).*:\s*$|\s*class \w+(?:\(.*\))?:\s*$|\s*(?:if|elif|for|while|with|try|except)\b.*:\s*$|@\w+)/,
  typescript:
    /^(?:import (?:type )?.* from ['"]|import ['"]|export [*{]|export (?:default |declare |async |abstract )*(?:function|class|const|interface|type|enum)\b|interface \w+|type \w+(?:<.*>)? =|\s*(?:private|public|protected|readonly) \w+[(:?]|(?:const|let|var) \w+\s*[:=]|(?:async )?function\*? \w+[(<]|\s*return .*;?$)/,
  go: /^(?:package \w+\s*$|import (?:\(|")|func (?:\([^)]*\) )?\w+\(|type \w+ (?:struct|interface)\b|\s+if err != nil|\s+\w+(?:, \w+)* := )/,
  rust: /^(?:use [\w:{}, *]+;|\s*(?:pub(?:\([^)]*\))? )?(?:fn \w+|struct \w+|enum \w+|impl\b|trait \w+|mod \w+)|#!?\[\w+|\s+let (?:mut )?\w+|\s*match .* \{$)/,
  java: /^(?:package [\w.]+;|import (?:static )?[\w.*]+;|\s*(?:public|private|protected)(?: (?:static|final|abstract))* (?:class|interface|enum|void|[A-Z]\w*|int|boolean|long|double)\b|\s*@Override)/,
  'c-sharp':
    /^(?:using [\w.]+;|namespace [\w.]+|\s*(?:public|private|internal|protected)(?: (?:static|sealed|async|override|virtual|readonly))* (?:class|interface|struct|record|void|string|int|bool|Task)\b|.*\{ get; )/,
  cpp: /^(?:#include [<"]|#(?:define|ifdef|ifndef|endif|pragma)\b|using namespace |template ?<|(?:static |inline |const )*(?:void|int|char|bool|double|float|unsigned|size_t|auto)\b[ *&]+\w+(?:::\w+)*\(|(?:typedef )?struct \w+|\w+::~?\w+\()/,
  php: /^(?:<\?php|\s*\$\w+ = |\s*(?:public|private|protected) (?:static )?function |namespace [\w\\]+;|use [\w\\]+;)/,
  ruby: /^(?:require(?:_relative)? ['"]|\s*def [\w.?!]+(?:\(.*\))?\s*$|\s*end\s*$|\s*class [A-Z]\w*(?: < \S+)?\s*$|\s*module [A-Z]\w*\s*$|\s*attr_(?:reader|accessor))/,
  bash: /^(?:#!\/.*\b(?:ba|z|k)?sh\b|\s*(?:if|elif) \[+ .*(?:;\s*then)?\s*$|\s*(?:fi|done|esac)\s*$|(?:function )?\w+ ?\(\) ?\{|\s*(?:export |local )\w+=|set -[a-z]+|\s*echo )/,
  powershell:
    /^(?:function [\w]+-[\w]+|\s*param ?\(|\s*\$\w+ = |\s*\[CmdletBinding|\s*(?:Get|Set|New|Write|Import)-\w+)/i,
  css: /^(?:@(?:media|import|font-face|keyframes)\b|[.#]?[a-z][\w-]*(?:[ ,>:.#][\w\s,>:.#-]*)? ?\{\s*$|\s+[a-z-]+: [^;]+;\s*$)/,
}

const sampleUnits = 32_768
const lineUnitsMax = 300
/** Fewer lines than this could be an example within a text. */
const linesMin = 2
/** Programs are more than this full of such lines; a text that quotes some is not. */
const shareMin = 0.08

/** Says nothing about the language, and may be most of a file. */
const isComment = /^\s*(?:#(?![![]|include|define|if|endif|pragma)|\/\/|\/?\*)/

/** The language that most lines of the beginning speak for; undefined when it does not look like a program. */
export function guessGrammar(text: string): Grammar | undefined {
  const lines = text
    .slice(0, sampleUnits)
    .split('\n')
    .filter((line) => line.trim() !== '' && !isComment.test(line))
    .map((line) => line.slice(0, lineUnitsMax).trimEnd())
  let best: Grammar | undefined
  let most = Math.max(linesMin - 1, lines.length * shareMin)
  for (const [grammar, sign] of Object.entries(signs)) {
    const count = lines.filter((line) => sign.test(line)).length
    if (count <= most) continue
    most = count
    best = grammar as Grammar
  }
  return best === 'typescript' && lines.some((line) => /^\s*(?:return \(?)?<[A-Za-z]/.test(line))
    ? 'tsx'
    : best
}
