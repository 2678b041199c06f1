#!/bin/bash
# A pair from nothing but data and ImageNet weights: the tutor, the teacher from it, the student from the teacher. The same
# command again goes on where it was interrupted.
#
#   training/recipes/pair.sh DATA WEIGHTS RUNS [OPTION...]
#
# DATA holds HAM10000, ISIC2017 and ISIC_extra; WEIGHTS the files named below (who has the Hub needs none of them: leave
# out `takeover` and every --init that names one); RUNS holds splits.csv and external.csv, and gets the run folders. Every
# OPTION goes to every run: on a GPU `--set mixed_precision=bf16 --set batch_size=256`, to rehearse on a laptop
# `--set mixed_precision=no --set batch_size=32 --epochs 1 --size 64 --set start_size=64`.
set -euo pipefail
data=$1 weights=$2 runs=$3
shift 3
images=(--data "$data/HAM10000" --splits "$runs/splits.csv")
common=("${images[@]}" --cache "$runs/cache" --more "$data/ISIC2017" --more "$data/ISIC_extra" --external "$runs/external.csv" "$@")

run() { # COMMAND OUTPUT OPTION...: train, or go on
    local resume=()
    [ -e "$runs/$2/states/latest" ] && resume=(--resume)
    python -m training "$1" --output "$runs/$2" "${common[@]}" "${resume[@]}" "${@:3}"
}

b1=$runs/efficientnet_b1_from_lite1.safetensors
[ -e "$b1" ] || python -m training takeover --weights "$weights/efficientnet_lite1_imagenet.safetensors" "${images[@]}" --output "$b1"

run teacher tutor --recipe training/recipes/tutor.yaml --alone --init "$weights/mobilenetv3_small_100_imagenet.safetensors"
run teacher teacher --tutor "$runs/tutor" --init "$b1"
run student student --recipe training/recipes/student_gpu.yaml --teacher "$runs/teacher" --init "$runs/tutor/best.safetensors"
