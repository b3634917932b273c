// Serves the files of the application:
//
//   pico-auth client create --kind spa --redirect-uri http://localhost:3000/
//   npm install && CLIENT_ID=... npm start
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'

const port = process.env.PORT ?? '3000'
const settings = { issuer: process.env.ISSUER ?? 'http://localhost:8100', clientId: process.env.CLIENT_ID }

const files = {
  '/': ['index.html', 'text/html'],
  '/app.js': ['app.js', 'text/javascript'],
  '/oidc-client-ts.min.js': ['node_modules/oidc-client-ts/dist/browser/oidc-client-ts.min.js', 'text/javascript'],
}

createServer(async (req, res) => {
  const { pathname } = new URL(req.url, 'http://localhost')
  if (pathname === '/settings.json') {
    return res.setHeader('Content-Type', 'application/json').end(JSON.stringify(settings))
  }
  const [file, type] = files[pathname] ?? []
  if (!file) return res.writeHead(404).end()
  res.setHeader('Content-Type', type).end(await readFile(new URL(file, import.meta.url)))
}).listen(Number(port), 'localhost', () => console.log(`open http://localhost:${port}`))
