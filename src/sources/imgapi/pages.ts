/** Images per page: the maximum of the reference. */
export const PAGE = 1000

/**
 * Lists all images of a server, page by page, each image once. Servers differ: the next page may or may not repeat the
 * marker, the last image of a page, and a server may ignore `limit` and `marker`.
 */
export async function* listPages<T extends { uuid: string }>(
  fetchPage: (page: { limit: string; marker?: string }) => Promise<T[]>,
): AsyncGenerator<T[]> {
  const seen = new Set<string>()
  for (let marker: string | undefined; ; ) {
    const page = await fetchPage({ limit: String(PAGE), ...(marker !== undefined && { marker }) })
    const fresh = page.filter(({ uuid }) => !seen.has(uuid))
    for (const { uuid } of fresh) seen.add(uuid)
    if (fresh.length > 0) yield fresh
    marker = page.at(-1)?.uuid
    if (page.length < PAGE || fresh.length === 0) return
  }
}
