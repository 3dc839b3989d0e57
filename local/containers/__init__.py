"""The images and ``docker-compose.yaml`` in a real Docker Engine, on a machine without one.

``make containers`` installs an engine from Debian's packages into a work folder and builds the images of this project
with it. ``make containers-test`` runs ``docker-compose.yaml`` in that engine and checks what the documents promise.
Both need root on Debian. No image registry is used: stand-ins replace the images of other projects
(:mod:`local.containers.stand_ins`).
"""
