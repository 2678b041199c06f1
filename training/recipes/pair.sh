#!/bin/bash
# The released pair from nothing but data and ImageNet weights, on one GPU in ten minutes: three tutors side by side,
# the teacher from the three, the student from the teacher. The same command again goes on where it was interrupted.
#
#   training/recipes/pair.sh DATA WEIGHTS RUNS [OPTION...]
#
# DATA holds HAM10000, ISIC2017 and ISIC_extra; WEIGHTS the files named below (who has the Hub needs none of them: leave
# out every --init and `takeover`); RUNS holds splits.csv and external.csv, and gets the run folders. Every OPTION goes
# to every run: `--set mixed_precision=no --epochs 1 --size 64 --set batch_size=16` rehearses it on a laptop. TUTOR,
# TEACHER and STUDENT may hold options of one kind of run alone.
set -euo pipefail
data=$1 weights=$2 runs=$3
shift 3
images=(--data "$data/HAM10000" --splits "$runs/splits.csv" --cache "$runs/cache")
common=("${images[@]}" --more "$data/ISIC2017" --more "$data/ISIC_extra" --external "$runs/external.csv" "$@")

run() { # COMMAND OUTPUT OPTION...: train, or go on
    local resume=()
    [ -e "$runs/$2/states/latest" ] && resume=(--resume)
    python -m training "$1" --output "$runs/$2" "${common[@]}" "${resume[@]}" "${@:3}" 2>&1 | tee -a "$runs/$2.log"
}
tutor() { # OUTPUT ARCHITECTURE INIT OPTION...
    # shellcheck disable=SC2086
    run teacher "$1" --recipe training/recipes/tutor.yaml --alone --arch "$2" --init "$3" "${@:4}" ${TUTOR:-}
}

b1=$runs/efficientnet_b1_from_lite1.safetensors
[ -e "$b1" ] || python -m training takeover --weights "$weights/efficientnet_lite1_imagenet.safetensors" \
    "${images[@]:0:4}" --output "$b1"
tutor tutor mobilenetv3_small_100 "$weights/mobilenetv3_small_100_imagenet.safetensors" &
until [ -e "$runs/tutor/run.json" ]; do # the first one decodes the images, for all
    kill -0 $! 2>/dev/null || wait $!
    sleep 1
done
tutor tutor-v2 mobilenetv2_100 "$weights/mobilenetv2_100_imagenet.safetensors" &
tutor tutor-b1 efficientnet_b1 "$b1" --set drop_path_rate=0.1 &
for job in $(jobs -p); do wait "$job"; done

# shellcheck disable=SC2086
run teacher teacher --tutor "$runs/tutor-b1" --tutor "$runs/tutor-v2" --tutor "$runs/tutor" \
    --init "$runs/tutor-b1/best.safetensors" ${TEACHER:-}
# shellcheck disable=SC2086
run student student --teacher "$runs/teacher" --init "$runs/tutor/best.safetensors" ${STUDENT:-}
