/** How many to ask for at once: what the reference answers with at most. */
export const PAGE = 1000

/**
 * Everything that a server lists, page by page. The marker, the last image of a page, may come again as the first
 * of the next or not, and a server may ignore limit and marker: each image comes out once.
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
