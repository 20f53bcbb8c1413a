"""How a picture is painted without a model: words become a scene, a scene becomes layers, layers paint bands.

`reading` finds words, `palette` chooses colours, `compose` lays out the layers, and the other modules
are the layers. A layer is drawn once, in full, by its constructor's random choices; painting a band of
rows is then a pure function of them, so a picture of any size is painted in little memory.
"""
