# The page with the weights of this repository, for every place that runs containers:
#   docker build --tag mel_demo .
#   docker run --read-only --tmpfs /tmp --publish 7860:7860 mel_demo
FROM python:3.11-slim AS server
WORKDIR /app
COPY requirements.txt .
RUN pip install --no-cache-dir --requirement requirements.txt \
        "pillow-heif>=1.1,<2" "pydicom>=3.0,<4" \
    && useradd --uid 1000 --no-create-home --shell /usr/sbin/nologin demo
COPY LICENSE app.py ./
COPY mel_demo mel_demo
COPY weights weights

# The page that screens on the phone itself, served at /phone; npm stays behind.
FROM server AS phone
RUN apt-get update && apt-get install --yes --no-install-recommends npm \
    && python -m mel_demo phone --output build/phone

FROM server
COPY --from=phone /app/build/phone build/phone
# All that is written goes below /tmp, so that everything else can be read-only.
ENV GRADIO_SERVER_NAME=0.0.0.0 \
    GRADIO_SERVER_PORT=7860 \
    GRADIO_TEMP_DIR=/tmp/gradio \
    GRADIO_ANALYTICS_ENABLED=False \
    HF_HOME=/tmp/huggingface \
    HOME=/tmp \
    PYTHONDONTWRITEBYTECODE=1
USER demo
EXPOSE 7860
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s \
    CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen('http://127.0.0.1:' + os.environ['GRADIO_SERVER_PORT'], timeout=4)"]
CMD ["python", "app.py"]
