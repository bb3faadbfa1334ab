FROM --platform=$NOTHING scratch
