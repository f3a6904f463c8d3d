"""The tables of DLC files, in which Qualcomm's tools and Netron describe a model.

`flat` reads flatbuffers and `build` lays them out; `v3` and `v4` know what stands in the tables,
`write` writes those of version 4. `docs/container.md` describes the format.
"""
