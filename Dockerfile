# One server of contexts: docs/operations.md says how several share a database and an object store.
FROM python:3.13-slim

COPY . /source
RUN pip install --no-cache-dir '/source[scale,serve,cli]' \
    && rm -rf /source \
    && useradd --uid 1000 --create-home ctxmgr \
    && install --directory --owner=ctxmgr --mode=0700 /data

USER 1000
ENV CTXMGR_HOME=/data
VOLUME /data
EXPOSE 8700
HEALTHCHECK --interval=10s --timeout=6s --start-period=60s \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8700/healthz', timeout=5)"]
ENTRYPOINT ["ctxmgr"]
CMD ["serve", "--host", "0.0.0.0"]
