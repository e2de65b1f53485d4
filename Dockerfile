# One address in front of many Ollama servers.
#
#   docker build -t chasqui .
#   docker run -p 11435:11435 -e CHASQUI_BACKENDS=http://host.docker.internal:11434 -v chasqui:/data chasqui
#   docker run -p 11435:11435 chasqui demo
FROM node:24-slim

WORKDIR /opt/chasqui
ENV NODE_ENV=production

# The packages first: they change less often than the sources. The optional ones are a Node, which this image is.
COPY package.json package-lock.json ./
RUN npm ci --omit=dev --omit=optional --no-audit --no-fund && npm cache clean --force

COPY src ./src
COPY backends ./backends

RUN printf '#!/bin/sh\nexec node /opt/chasqui/src/main.mjs "$@"\n' > /usr/local/bin/chasqui \
 && chmod 755 /usr/local/bin/chasqui \
 && mkdir /data \
 && chown node:node /data

# Others can connect to a container, so the first start makes an admin token, shows it once in the log and keeps it
# under /data; CHASQUI_ADMIN_TOKEN takes its place.
ENV CHASQUI_LISTEN=0.0.0.0:11435 CHASQUI_DATA=/data CHASQUI_MAKE_ADMIN_TOKEN=1

USER node
VOLUME /data
EXPOSE 11435
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s --retries=3 CMD ["chasqui", "ping"]
ENTRYPOINT ["chasqui"]
CMD ["up"]
