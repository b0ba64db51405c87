# The program on CUDA 13. Nothing is downloaded when it runs, the root may be read-only, and it needs no shell:
#
#   docker buildx build --platform linux/amd64 --build-arg VERSION=$(git describe --always --dirty) \
#     --build-arg COMMIT=$(git rev-parse HEAD) --sbom=true --provenance=mode=max -t REGISTRY/cijepa --push .
#
# A tag can move, so the images that it begins from are named by digest, too. .ci/image/build puts others in their place.
ARG GO_IMAGE=docker.io/library/golang:1.26.9-bookworm@sha256:d9c68c2c51161e12fd77e4c6320687c9cd86e1af1e3ad6e6cd63ff970641453c
ARG PYTHON_IMAGE=docker.io/library/python:3.12.15-slim-bookworm@sha256:54c85f3c47607a77f32adec749d3c81d1348bf25833671f512b26a9b6d778cb3
ARG BASE_IMAGE=docker.io/nvidia/cuda:13.0.3-base-ubuntu24.04@sha256:97d085a7423ee18ec483a2878b9be2c976dc4ba908aef96518beb00e1899dcc4

# The binary, with libjpeg-turbo linked into it. The builder's C library must not be newer than the base's. The version of Go is said
# here, and Go fetches it by its checksum: images lag behind the fixes of its standard library.
FROM ${GO_IMAGE} AS build
ENV GOTOOLCHAIN=go1.26.11
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev libjpeg62-turbo-dev
WORKDIR /src
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod go mod download
COPY cmd ./cmd
COPY job ./job
COPY model ./model
COPY storage ./storage
ARG VERSION=devel
ARG COMMIT=
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    CGO_ENABLED=1 go build -trimpath -buildvcs=false \
    -ldflags "-s -w -buildid= -X main.version=${VERSION} -X main.commit=${COMMIT}" -o /out/cijepa ./cmd/cijepa
# The licences, and the cache's folder, which belongs to the user of the image: some engines mount nothing there.
COPY LICENSE ./
COPY .image/licenses /usr/local/bin/licenses
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    CGO_ENABLED=1 licenses /out/licenses && mkdir /out/cache

# The CUDA plugin and NVIDIA's libraries, one folder for each layer. What only compiling for CUDA needs is left out; ptxas,
# nvlink and libdevice are XLA's own tools.
FROM ${PYTHON_IMAGE} AS cuda
COPY .image/cuda/ /wheels/
RUN for file in /wheels/*.txt; do \
        pip install --no-cache-dir --no-compile --no-deps --only-binary=:all: --require-hashes \
            --target "/layers/$(basename "$file" .txt)" -r "$file" || exit 1; \
    done && \
    cd /layers/compiler/nvidia/cu13 && \
    rm -rf include nvvm/bin nvvm/include bin/nvcc* bin/__nvcc_device_query bin/cudafe++ bin/crt bin/bin2c lib/*.alt.so* \
        lib/libnvperf* lib/libpcsamplingutil.so lib/libcheckpoint.so && \
    find /layers -name include -prune -exec rm -rf {} + && \
    find /layers \( -name '*.a' -o -name 'libcusolverMg*' -o -name 'libcufftw*' -o -name 'libnvblas*' \) -delete

FROM ${BASE_IMAGE}
ARG BASE_IMAGE
ARG VERSION=devel
ARG COMMIT=
LABEL org.opencontainers.image.title="cijepa" \
      org.opencontainers.image.description="Pretrains a ViT with cI-JEPA from a bucket, through any number of preemptions" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${COMMIT}" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.base.name="${BASE_IMAGE}"
# What changes least comes first; after a change of the program one layer of tens of megabytes moves.
COPY --from=cuda /layers/cudnn/ /opt/xla/
COPY --from=cuda /layers/cublas/ /opt/xla/
COPY --from=cuda /layers/cusolver/ /opt/xla/
COPY --from=cuda /layers/cufft/ /opt/xla/
COPY --from=cuda /layers/nccl/ /opt/xla/
COPY --from=cuda /layers/compiler/ /opt/xla/
COPY --from=cuda /layers/plugin/ /opt/xla/
COPY --from=build --chown=65532:65532 /out/cache/ /cache/
COPY --from=build /out/licenses/ /licenses/
COPY --from=build --chmod=0555 /out/cijepa /usr/local/bin/cijepa
# LD_LIBRARY_PATH: the driver where GKE mounts it, and what NVIDIA's libraries load from each other's folders.
# The settings of go-xla and XLA: look for no libraries of NVIDIA's, and where libdevice and ptxas are.
ENV NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility \
    LD_LIBRARY_PATH=/usr/local/nvidia/lib64:/opt/xla/nvidia/cu13/lib:/opt/xla/nvidia/cudnn/lib:/opt/xla/nvidia/nccl/lib \
    PATH=/opt/xla/nvidia/cu13/bin:/usr/local/nvidia/bin:/usr/local/bin:/usr/bin:/bin \
    GOPJRT_CUDA_CHECKS=0 \
    TF_CPP_MIN_LOG_LEVEL=1 \
    XLA_FLAGS=--xla_gpu_cuda_data_dir=/opt/xla/nvidia/cu13 \
    CUDA_CACHE_PATH=/tmp/cuda \
    HOME=/tmp \
    CIJEPA_BACKEND=xla:/opt/xla/jax_plugins/xla_cuda13/xla_cuda_plugin.so,preallocate=true,memory_fraction=0.92 \
    CIJEPA_CACHE_DIR=/cache
WORKDIR /tmp
VOLUME ["/cache", "/tmp"]
USER 65532:65532
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/local/bin/cijepa"]
