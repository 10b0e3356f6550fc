# Packs the program of each function that is named, `x/bootstrap` into `x.zip`, as it is.
import sys
import zipfile

for function in sys.argv[1:]:
    with zipfile.ZipFile(f"{function}.zip", "w") as archive:
        archive.write(f"{function}/bootstrap", "bootstrap")
