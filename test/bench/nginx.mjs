import { mkdirSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { sleep } from './measure.mjs'
import { cpuSeconds, familyOf, freePort, start, stop } from './processes.mjs'

/** nginx as a yardstick: files of a folder by sendfile, and PUT into it, with an access log as we have one. */

const config = (folder, root, port) => `
${process.getuid?.() === 0 ? 'user root;' : ''}
daemon off;
worker_processes auto;
pid ${folder}/nginx.pid;
error_log ${folder}/error.log;
events { worker_connections 1024; }
http {
  access_log ${folder}/access.log;
  default_type application/json;
  sendfile on;
  tcp_nopush on;
  keepalive_requests 1000000000;
  client_max_body_size 0;
  client_body_temp_path ${root}/.body;
  proxy_temp_path ${folder}/proxy;
  fastcgi_temp_path ${folder}/fastcgi;
  uwsgi_temp_path ${folder}/uwsgi;
  scgi_temp_path ${folder}/scgi;
  server {
    listen 127.0.0.1:${port};
    root ${root};
    dav_methods PUT;
  }
}
`

/** `root`: the folder to serve; uploads are put into it. */
export async function startNginx(program, folder, root) {
  const own = join(folder, 'nginx')
  mkdirSync(own, { recursive: true })
  const port = await freePort()
  const path = join(own, 'nginx.conf')
  writeFileSync(path, config(own, root, port))
  const child = start(program, ['-e', join(own, 'error.log'), '-c', path], { stdio: 'ignore' })
  await reachable(port, child)
  return {
    port,
    url: `http://127.0.0.1:${port}`,
    cpuSeconds: () => familyOf(child.pid).reduce((sum, pid) => sum + cpuSeconds(pid), 0),
    stop: () => stop(child),
  }
}

async function reachable(port, child) {
  for (;;) {
    if (child.exitCode !== null) throw new Error(`nginx ended with ${child.exitCode}`)
    const isUp = await new Promise(resolve => {
      const socket = connect(port, '127.0.0.1', () => resolve(true)).on('error', () => resolve(false))
      socket.on('connect', () => socket.destroy())
    })
    if (isUp) return
    await sleep(0.02)
  }
}
