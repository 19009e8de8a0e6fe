# syntax=docker/dockerfile:1
# The server with production dependencies only. `npm run check:container` proves layout and command without an engine.

FROM node:24-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --omit=dev

FROM debian:12-slim
WORKDIR /app
COPY --from=build /app/node_modules ./node_modules
COPY package.json LICENSE README.md ./
COPY bin ./bin
COPY src ./src
COPY assets ./assets

# Images and journal live on the volume; the rest of the file system can be read-only.
ENV IMAGE_SERVER__CACHE_DIR=/var/lib/image-server/images \
    IMAGE_SERVER__DATA_DIR=/var/lib/image-server/data
RUN mkdir -p /var/lib/image-server && chown 10001:10001 /var/lib/image-server
VOLUME /var/lib/image-server
USER 10001:10001
EXPOSE 8080

HEALTHCHECK --interval=30s --timeout=5s --start-period=10s \
  CMD ["node_modules/.bin/node", "bin/healthcheck.mjs"]
CMD ["node_modules/.bin/node", "--max-semi-space-size=64", "bin/image-server.cjs", "serve"]
