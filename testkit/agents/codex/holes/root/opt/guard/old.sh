#!/bin/sh
case "$1" in *rm*) exit 1;; esac  # meant to stop it
