# The installer copies scanmend/serve/client.py into the plug-in's folder under this name.
from scanmend.serve.client import *
