/** The frame of HTML pages, without scripts and without resources of other sites. */

const ENTITIES: Record<string, string> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}

export const escapeHtml = (text: string) => text.replace(/[&<>"']/g, character => ENTITIES[character]!)

const STYLE = `body{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:60rem;padding:0 1rem;color:#222}
table{border-collapse:collapse}td,th{text-align:left;padding:.2rem 1rem .2rem 0}code{background:#eef;padding:.1rem .3rem}`

/** Returns a page. `body`: HTML; `title`: text. */
export const page = (title: string, body: string): Buffer =>
  Buffer.from(`<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>${escapeHtml(title)}</title><style>${STYLE}</style>
<body>${body}
`)
