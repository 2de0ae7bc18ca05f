/** The manual pages, in mdoc(7), from the definitions of commands and config keys. */

/** Of the last change of the text in this file. */
const DATE = 'November 24, 2026'

const WIDTH = 78

export function commandsPage({ COMMANDS, EXIT }) {
  const isClient = ({ args }) => 'url' in args
  // This one has no options of its own.
  const shared = COMMANDS.ping.args
  const own = one => Object.entries(one.args).filter(([name]) => !(isClient(one) && name in shared))
  const all = Object.values(COMMANDS)
  const list = commands => ['.Bl -tag -width Ds', ...commands.flatMap(one => command(one, own(one))), '.El']
  const example = name => COMMANDS[name].examples[0]
  return page('IMGAPI', 8, [
    '.Sh NAME',
    '.Nm imgapi',
    '.Nd image server for SmartOS',
    '.Sh SYNOPSIS',
    '.Nm',
    '.Cm serve',
    '.Op Fl c Ar FILE',
    '.Nm',
    '.Ar command',
    '.Op Ar options',
    '.Op Ar arguments',
    '.Nm',
    '.Cm help',
    '.Op Ar command | Cm config',
    '.Nm',
    '.Fl -version',
    '.Sh DESCRIPTION',
    '.Nm',
    ...text('is an image server for SmartOS hosts, and a client for such a server.'),
    ...text(
      'It stores images, which are a manifest and a file each, in a data directory, and offers them by the Image API, so that `imgadm` can import and publish them.',
    ),
    '.Pp',
    '.Nm',
    '.Cm serve',
    ...text(
      'runs the server in the foreground and writes its log to standard output, one JSON object per line. On SIGHUP it reloads users, log level and certificate from the config file; if the new config is invalid, nothing changes. On SIGTERM or SIGINT it finishes running transfers and stops; a second signal stops it at once.',
    ),
    '.Nm',
    '.Fl s Fl c Ar FILE',
    'is the same as',
    '.Nm',
    '.Cm serve Fl c Ar FILE .',
    '.Pp',
    ...text('The other commands maintain a data directory, or send requests to a server.'),
    '.Sh COMMANDS',
    ...text('Every command accepts'),
    '.Fl h , Fl -help .',
    '.Ss Server and files of this machine',
    ...list(all.filter(one => !isClient(one))),
    '.Ss Client of a server',
    ...list(all.filter(isClient)),
    '.Ss Options of all client commands',
    '.Bl -tag -width Ds',
    ...Object.entries(shared).flatMap(([name, arg]) => option(name, arg)),
    '.El',
    '.Sh ENVIRONMENT',
    ...tagged(
      [
        [
          'IMGAPI_URL',
          'URL of the server. It may contain credentials, a path and `?channel=`. If it is set, the following credentials are for its host, port and scheme, and no other server that `--url` names gets them.',
        ],
        ['IMGAPI_USER', 'Name of the user.'],
        [
          'IMGAPI_PASSWORD',
          'Password of the user. Without it, and without `IMGAPI_IDENTITY`, the command asks for it on a terminal.',
        ],
        [
          'IMGAPI_IDENTITY',
          'File with an SSH private key. Requests are signed with it, and no password is sent.',
        ],
        ['IMGAPI_INSECURE', 'If it is 1, true or yes, any certificate is accepted.'],
        ['NODE_EXTRA_CA_CERTS', 'To trust a private CA, set this to a PEM file with its certificate.'],
      ].map(([name, meaning]) => [`.Ev ${name}`, meaning]),
    ),
    '.Sh FILES',
    ...tagged([
      ['.Pa $HOME/.imgapi.json', 'The config file, unless -c names another.'],
      [
        '.Pa <datadir>/<uuid>/manifest.json',
        'The manifest of an image. Its file and its icon are in the same folder.',
      ],
      ['.Pa <datadir>/etc/authkeys/local/<user>.keys', 'SSH public keys of a user, one per line.'],
      [
        '.Pa <datadir>/incoming',
        'The drop folder, if it exists. Images that are copied there are published.',
      ],
    ]),
    '.Sh EXIT STATUS',
    ...tagged([
      ['.No 0', 'Success.'],
      [`.No ${EXIT.failed}`, 'The command failed, or a check found problems.'],
      [`.No ${EXIT.usage}`, 'Wrong usage.'],
      [`.No ${EXIT.notFound}`, 'The image was not found.'],
      [`.No ${EXIT.interrupted}`, 'The command was interrupted.'],
    ]),
    '.Sh EXAMPLES',
    ...examples([
      ['Run the server:', example('serve')],
      ['Hash a password for the config file:', example('passwd')],
      ['Publish an image that `imgadm create` wrote:', example('publish')],
      ['List images:', example('list')],
      ['Download the file of an image, or resume the download:', example('get-file')],
      ['Let the server import an image with its origins:', example('import')],
      ['Write an image to a file, for a host without Internet access:', example('bundle')],
      ['Verify all files of a data directory:', example('check')],
    ]),
    '.Sh SEE ALSO',
    '.Xr curl 1 ,',
    '.Xr imgapi.json 5 ,',
    '.Xr imgadm 8',
  ])
}

export function configPage({ listConfigKeys }) {
  return page('IMGAPI.JSON', 5, [
    '.Sh NAME',
    '.Nm imgapi.json',
    '.Nd configuration of the image server imgapi',
    '.Sh DESCRIPTION',
    ...text(
      'The config file is a JSON object. Only `datadir` is required. Relative paths start at the folder of the file. An unknown key or an invalid value is an error when the server starts; the message says what is expected.',
    ),
    '.Pp',
    ...text(
      'A dot separates a key from the object that contains it, and brackets mark the elements of a list: `mirrors[].source` is the key `source` of each object in the list `mirrors`.',
    ),
    '.Pp',
    ...text(
      'On SIGHUP the server reloads `userdb`, `authKeys`, `logLevel` and the files of `tls`. Other changes need a restart.',
    ),
    '.Sh KEYS',
    '.Bl -tag -width Ds',
    ...listConfigKeys().flatMap(({ name, isRequired, default: value, values, meaning }) => [
      `.It Cm ${escaped(name)}${isRequired ? ' Pq required' : value === undefined ? '' : ` Pq default : Cm ${escaped(value)}`}`,
      ...(values.length > 0 ? text(`One of ${values.map(choice => `\`${choice}\``).join(', ')}.`) : []),
      ...text(`${meaning.charAt(0).toUpperCase()}${meaning.slice(1)}.`),
    ]),
    '.El',
    '.Sh FILES',
    ...tagged([['.Pa $HOME/.imgapi.json', 'The default config file.']]),
    '.Sh EXAMPLES',
    ...text('A server for hosts on a private network, with HTTPS and a mirror:'),
    '.Bd -literal -offset indent',
    ...JSON.stringify(
      {
        datadir: '/var/imgapi',
        host: 'images.example.com',
        port: 443,
        userdb: [{ name: 'admin', password: '$scrypt$...' }],
        tls: { cert: '/etc/ssl/fullchain.pem', key: '/etc/ssl/privkey.pem' },
        mirrors: [{ source: 'https://images.smartos.org', include: [{ name: 'base-64-lts', newest: 2 }] }],
      },
      null,
      2,
    ).split('\n'),
    '.Ed',
    '.Sh SEE ALSO',
    '.Xr imgapi 8',
  ])
}

const page = (title, section, lines) =>
  [
    '.\\" Written by support-files/build/reference.mjs from the definitions of the program.',
    `.Dd ${DATE}`,
    `.Dt ${title} ${section}`,
    '.Os',
    ...lines,
    '',
  ].join('\n')

/** A command with its arguments and its own options. */
function command({ meta, args }, own) {
  const positionals = Object.entries(args).filter(([, { type }]) => type === 'positional')
  const options = own.filter(([, { type }]) => type !== 'positional')
  const words = positionals.map(([name, { valueHint = name.toUpperCase(), required, rest }]) => {
    const word = `Ar ${escaped(valueHint)}${rest ? ' ...' : ''}`
    return required === false ? `.Op ${word}` : `.${word}`
  })
  const details = [
    ...positionals.flatMap(([name, { valueHint = name.toUpperCase(), description }]) => [
      `.It Ar ${escaped(valueHint)}`,
      ...sentence(description),
    ]),
    ...options.flatMap(([name, arg]) => option(name, arg)),
  ]
  return [
    ...['.It Xo', `.Cm ${meta.name}`, ...(options.length > 0 ? ['.Op Ar options'] : []), ...words, '.Xc'],
    ...sentence(meta.description),
    ...(details.length > 0 ? ['.Bl -tag -width Ds', ...details, '.El'] : []),
  ]
}

function option(name, { alias = [], type, valueHint, description }) {
  const letters = [alias].flat().map(letter => `Fl ${letter} , `)
  const value = type === 'boolean' ? '' : ` Ar ${escaped(valueHint ?? 'VALUE')}`
  return [`.It ${letters.join('')}Fl -${name}${value}`, ...sentence(description)]
}

const sentence = description => text(`${description.charAt(0).toUpperCase()}${description.slice(1)}.`)

const tagged = items => [
  '.Bl -tag -width Ds',
  ...items.flatMap(([tag, meaning]) => [`.It ${tag.slice(1)}`, ...text(meaning)]),
  '.El',
]

const examples = items =>
  items.flatMap(([title, line], index) => [
    ...(index > 0 ? ['.Pp'] : []),
    ...text(title),
    `.Dl ${escaped(line)}`,
  ])

/** For the arguments of a macro. */
const escaped = words =>
  words
    .replaceAll('\\', '\\e')
    .replaceAll('"', '\\(dq')
    .replaceAll('|', '\\*(Ba')
    .replace(/^(?=[.'])/, '\\&')

/** Text in lines, each sentence on lines of its own. Backquotes mark what is typed or printed as it stands. */
function text(words) {
  return words.split(/(?<=[.;]) (?=[A-Z])/).flatMap(part => {
    const marked = part
      .replaceAll('\\', '\\e')
      .replace(/`([^`]*)`/g, (_, code) => `\\fB${code.replaceAll(' ', '\\ ')}\\fR`)
    return wrap(marked).map(line => line.replace(/^(?=[.'])/, '\\&'))
  })
}

function wrap(line) {
  const lines = ['']
  for (const word of line.split(/(?<!\\) /)) {
    const longer = lines.at(-1) === '' ? word : `${lines.at(-1)} ${word}`
    if (longer.length <= WIDTH) lines[lines.length - 1] = longer
    else lines.push(word)
  }
  return lines
}
